-- grain: one row per rationale and condition that selection left out or decided more than once
with decided as (
    select distinct s.problem_id, s.condition, r.kind
    from stg_selections as s
    join stg_rationales as r using (rationale_id)
),
-- examples come after selection has ended: then every problem must have been decided
finished as (
    select count(*) > 0 as is_finished from stg_examples
),
due as (
    select r.rationale_id, r.problem_id, 'original' as condition
    from stg_rationales as r
    cross join finished
    where
        r.kind in (select kind from decided where condition = 'original')
        and (
            is_finished
            or r.problem_id in (select problem_id from decided where condition = 'original')
        )
    union all
    select r.rationale_id, r.problem_id, 'compressed' as condition
    from stg_rationales as r
    where
        r.chosen
        and r.problem_id in (select problem_id from decided where condition = 'compressed')
),
decisions as (
    select rationale_id, problem_id, condition, count(*) as num_decisions
    from stg_selections
    group by rationale_id, problem_id, condition
),
rejected as (
    select record_id from stg_rejections where stage = 'select'
),
undecided as (
    select d.rationale_id, d.problem_id, d.condition, 0 as num_decisions
    from due as d
    anti join decisions using (rationale_id, condition)
    where d.rationale_id not in (from rejected) and d.problem_id not in (from rejected)
)
from undecided
union all by name
from decisions where num_decisions > 1
order by rationale_id, condition
