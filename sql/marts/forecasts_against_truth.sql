-- grain: one row per forecast whose student has been evaluated, with what it came to
-- is_told_before: the forecast was made before the first of the answers.
with truths as (
    select model_id, benchmark, settings, compress, 'accuracy' as target, accuracy as truth, first_answer_at
    from stg_student_results
    union all
    select model_id, benchmark, settings, compress, 'tokens' as target, tokens as truth, first_answer_at
    from stg_student_results
)
select
    f.recipe, f.model_id, f.benchmark, f.settings, f.compress, f.target, f.predicted, f.low, f.high,
    t.truth,
    t.truth between f.low and f.high as is_inside,
    abs(f.predicted - t.truth) as error,
    f.level, f.num_models, f.loo_error, f.loo_error_of_mean,
    f.created_at as told_at,
    f.created_at < t.first_answer_at as is_told_before
from stg_forecasts as f
join truths as t
    on
        t.model_id = f.model_id and t.benchmark = f.benchmark and t.compress = f.compress and t.target = f.target
        and t.settings is not distinct from f.settings
order by f.created_at, f.recipe, f.benchmark, f.compress, f.target
