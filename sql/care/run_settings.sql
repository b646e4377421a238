-- grain: one row per run, the one seen last first: all its settings, of earlier versions those that identify it
with seen as (
    select run_id, started_at as seen_at from raw_invocations
    union all
    select run_id, created_at from raw_runs
)
select r.run_id, r.recipe, coalesce(r.settings, r.resolved) as settings
from raw_runs as r
join seen as s on s.run_id = r.run_id
group by r.run_id, r.recipe, r.settings, r.resolved
order by max(s.seen_at) desc, r.run_id
