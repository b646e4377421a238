-- grain: one row per source of problems
with problems as (
    select distinct problem_id, source
    from stg_problems
)
select p.source, count(*) as num_examples
from stg_examples as e
join problems as p using (problem_id)
group by p.source
order by num_examples desc, p.source
