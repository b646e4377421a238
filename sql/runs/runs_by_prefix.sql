-- grain: one row per run whose id starts with getvariable('prefix'); two are as good as many
select run_id, fingerprints
from raw_runs
where starts_with(run_id, getvariable('prefix'))
limit 2
