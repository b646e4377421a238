-- grain: one row per invocation of any run, and one per run without any
select
    r.recipe, r.run_id, left(i.started_at, 19) as started_at,
    coalesce(i.status, 'not ended') as status, i.num_requests, i.num_repeated
from raw_runs as r
left join raw_invocations as i using (run_id)
order by i.started_at
