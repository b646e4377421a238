-- grain: one row per model that has steps stored: the last attempt that took one
select model_id, max(attempt) as attempt
from raw_training_steps
group by model_id
