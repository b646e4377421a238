-- grain: one row per run, the one started last or, while its first invocation still runs, stored last
-- One that only evaluates comes behind all that make data: `litecot evaluate` changes no view.
with seen as (
    select run_id, started_at as seen_at from raw_invocations
    union all
    select run_id, created_at as seen_at from raw_runs
)
select r.run_id
from seen
join raw_runs as r using (run_id)
order by
    len(list_filter(
        json_keys(r.fingerprints), lambda stage: stage not in ('ingest', 'evaluate-base')
    )) = 0,
    seen_at desc
limit 1
