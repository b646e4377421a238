-- grain: one row per split of the selected run
select split, count(*) as num_problems
from stg_memberships
group by split
order by split
