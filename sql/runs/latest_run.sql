-- grain: one row per run, the one started last or, while its first invocation still runs, stored last
with seen as (
    select run_id, started_at as seen_at from raw_invocations
    union all
    select run_id, created_at as seen_at from raw_runs
)
select run_id
from seen
where run_id in (select run_id from raw_runs)
order by seen_at desc
limit 1
