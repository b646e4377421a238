-- grain: one row per run, the selected one
select run_id, recipe, resolved, fingerprints, versions, prompts
from stg_runs
limit 1
