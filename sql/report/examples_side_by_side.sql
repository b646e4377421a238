-- grain: one row per problem to show and chain of its lineage, the chain it ends at last
-- Of each level those are shown that were shortened about as much as the median: typical, not best. Texts are cut at
-- getvariable('most_characters'): whatever a model wrote stays small.
with levels as (
    select problem_id, level from stg_difficulties
),
chains as (
    select rationale_id, parent_id, problem_id, kind, num_tokens, verdict
    from stg_rationales
    where kind <> 'compressed' or chosen
),
ends as (
    select *
    from chains
    where kind <> 'long' or verdict = 'correct'
    qualify row_number() over (
        partition by problem_id
        order by list_position(['compressed', 'rewritten', 'long'], kind), rationale_id
    ) = 1
),
lineages as (
    select
        e.problem_id,
        coalesce(l.level, 'ungraded') as level,
        e.kind,
        e.rationale_id,
        p.rationale_id as parent_id,
        g.rationale_id as grandparent_id,
        e.num_tokens / nullif(coalesce(g.num_tokens, p.num_tokens, e.num_tokens), 0) as share_left
    from ends as e
    left join chains as p on p.rationale_id = e.parent_id
    left join chains as g on g.rationale_id = p.parent_id
    left join levels as l on l.problem_id = e.problem_id
),
typical as (
    select *, median(share_left) over (partition by level, kind) as median_left
    from lineages
    qualify list_position(['compressed', 'rewritten', 'long'], kind)
        = min(list_position(['compressed', 'rewritten', 'long'], kind)) over ()
),
chosen as (
    select *
    from typical
    qualify row_number() over (partition by level order by abs(share_left - median_left), problem_id)
        <= coalesce(getvariable('most_examples'), 2)
),
shown as (
    select problem_id, level, share_left, 1 as place, grandparent_id as rationale_id from chosen
    union all
    select problem_id, level, share_left, 2, parent_id from chosen
    union all
    select problem_id, level, share_left, 3, rationale_id from chosen
)
select
    s.problem_id,
    s.level,
    round(s.share_left, 4) as share_left,
    left(p.question, coalesce(getvariable('most_characters'), 4000)) as question,
    length(p.question) as question_characters,
    left(p.answer, coalesce(getvariable('most_characters'), 4000)) as answer,
    s.place,
    r.kind,
    r.model,
    r.verdict,
    r.num_tokens,
    left(r.text, coalesce(getvariable('most_characters'), 4000)) as text,
    length(r.text) as num_characters
from shown as s
join stg_rationales as r using (rationale_id)
join stg_problems as p on p.problem_id = s.problem_id and p.split = 'train'
order by list_position(['easy', 'medium', 'hard', 'ungraded'], s.level), s.share_left, s.problem_id, s.place
