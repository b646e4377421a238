-- grain: one row per stored run but the selected one, the latest first
select run_id, fingerprints, settings
from raw_runs
where run_id <> getvariable('run_id')
order by created_at desc
limit getvariable('most')
