-- grain: one row per benchmark, prompt and target that the selected run's student was forecast for, and what it came to
select *
from forecasts_against_truth
where model_id in (select model_id from stg_models) and is_told_before
qualify row_number() over (partition by model_id, benchmark, settings, compress, target order by told_at desc) = 1
order by benchmark, compress, target
