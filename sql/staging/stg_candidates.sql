-- grain: one row per brought candidate of the selected run's problems
select *
from raw_candidates
where problem_id in (select problem_id from stg_memberships)
