-- grain: one row per run, the selected one
select *
from raw_runs
where run_id = getvariable('run_id')
