-- grain: one row per selected run: what it was made with
select
    r.run_id,
    r.recipe,
    r.settings,
    r.prompts,
    r.prompt_texts,
    r.versions,
    r.num_problems,
    r.num_candidates,
    r.created_at,
    (select count(*) from stg_invocations) as num_invocations,
    (select min(started_at) from stg_invocations) as first_started_at,
    (select max(finished_at) from stg_invocations) as last_finished_at
from stg_runs as r
limit 1
