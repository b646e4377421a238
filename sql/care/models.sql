-- grain: one row per trained student of any run
select model_id, path, run_id, coalesce(device_hours, 0) as device_hours
from raw_models
order by model_id
