-- grain: one row per problem to rewrite; its parent is the shortest correct long chain, of those that were not cut off
-- In two steps the level is the one graded; a single prompt judges it, so none is needed.
with correct as (
    select
        problem_id, cut_off,
        {'id': rationale_id, 'text': text, 'model': model, 'engine': engine} as chain,
        (num_tokens, candidate, rationale_id) as preference
    from stg_rationales
    where kind = 'long' and verdict = 'correct'
),
parents as (
    select
        problem_id,
        arg_min(chain, preference) filter (cut_off is null) as chain,
        count(*) filter (cut_off is not null) as num_cut_off
    from correct
    group by problem_id
),
levels as (
    select problem_id, level
    from stg_difficulties
    where getvariable('config') ->> 'variant' is distinct from 'single_prompt'
    union all
    select distinct problem_id, null as level
    from stg_rationales
    where getvariable('config') ->> 'variant' = 'single_prompt'
)
select
    p.problem_id as record_id, p.problem_id, p.question, p.answer, p.answer_type, levels.level,
    parents.chain.id as parent_id, parents.chain.text as parent_text,
    parents.chain.model as parent_model, parents.chain.engine as parent_engine,
    coalesce(parents.num_cut_off, 0) as num_cut_off
from stg_problems as p
join levels using (problem_id)
left join parents using (problem_id)
where p.split = 'train'
order by p.position
