-- grain: one row per invocation of the selected run
select *
from raw_invocations
where run_id = getvariable('run_id')
