-- grain: one row per evaluated model, benchmark, settings and prompt, of any run
-- A row is compared with those of the same benchmark, settings and questions alone: question_set and settings say which
-- they are, num_compared how many. It is dominated where one of them is as accurate or more with fewer tokens, or
-- more accurate with as many; dominated_by is the most accurate of those.
with evaluated as (
    from evaluations_by_level
    where level = 'all'
),
dominated as (
    select
        e.model_id, e.benchmark, e.settings, e.compress,
        arg_max(
            {'model_id': o.model_id, 'compress': o.compress},
            {'accuracy': o.accuracy, 'shortness': -o.mean_tokens, 'model_id': o.model_id, 'compress': o.compress}
        ) as best
    from evaluated as e
    join evaluated as o using (benchmark, settings, question_set)
    where
        (o.accuracy >= e.accuracy and o.mean_tokens < e.mean_tokens)
        or (o.accuracy > e.accuracy and o.mean_tokens <= e.mean_tokens)
    group by e.model_id, e.benchmark, e.settings, e.compress
)
select
    e.benchmark,
    e.model_id,
    e.role,
    e.base,
    e.compress,
    e.num_questions,
    e.num_samples,
    e.accuracy,
    e.mean_tokens,
    e.tokens_per_correct,
    e.share_cut_off,
    d.best is null as is_on_frontier,
    d.best.model_id as dominated_by,
    d.best.compress as dominated_by_compress,
    count(*) over (partition by e.benchmark, e.settings, e.question_set) as num_compared,
    e.question_set,
    e.settings
from evaluated as e
left join dominated as d using (model_id, benchmark, settings, compress)
order by e.benchmark, e.settings, e.question_set, e.mean_tokens, e.accuracy desc, e.model_id, e.compress
