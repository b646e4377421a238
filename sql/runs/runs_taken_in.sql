-- grain: one row per run, the selected one, if all that its ingest counted is stored
-- Candidates may be more: another run may have read more of them for the same problems.
select run_id
from raw_runs
where
    run_id = getvariable('run_id')
    and num_problems = (select count(*) from stg_problems)
    and coalesce(num_candidates, 0) <= (select count(*) from stg_candidates)
