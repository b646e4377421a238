-- grain: one row per level
with examples as (
    select coalesce(r.level, d.level, 'ungraded') as level, e.problem_id
    from stg_examples as e
    join stg_rationales as r on r.rationale_id = e.rationale_id
    left join stg_difficulties as d on d.problem_id = e.problem_id
)
select level, count(*) as num_examples, count(distinct problem_id) as num_problems
from examples
group by level
order by list_position(['easy', 'medium', 'hard', 'ungraded'], level)
