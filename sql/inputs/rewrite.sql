-- grain: one row per problem with a level; its parent is the shortest correct long chain
with correct as (
    select problem_id, rationale_id, text, num_tokens, candidate
    from stg_rationales
    where kind = 'long' and verdict = 'correct'
),
parents as (
    select
        problem_id,
        arg_min(rationale_id, (num_tokens, candidate)) as parent_id,
        arg_min(text, (num_tokens, candidate)) as parent_text
    from correct
    group by problem_id
)
select
    p.problem_id as record_id, p.problem_id, p.question, p.answer, p.answer_type,
    d.level, parents.parent_id, parents.parent_text
from stg_problems as p
join stg_difficulties as d using (problem_id)
left join parents using (problem_id)
where p.split = 'train'
order by p.position
