-- grain: one row per invocation of the selected run, the first one first
select started_at, finished_at, stage_seconds
from stg_invocations
order by started_at
