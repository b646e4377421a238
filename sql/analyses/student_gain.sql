-- grain: one row per benchmark, use of <compress> and settings both were asked with
-- asks: What did training change: accuracy, tokens, and how many problems were won and lost?
with answers as (
    select
        benchmark, compress, coalesce(settings, '') as settings, problem_id, role,
        avg((verdict = 'correct')::int) as accuracy,
        avg(num_tokens) as num_tokens
    from stg_evaluations
    where role in ('base', 'trained')
    group by all
),
pairs as (
    select
        b.benchmark, b.compress, b.settings, b.problem_id,
        b.accuracy as before, t.accuracy as after,
        b.num_tokens as tokens_before, t.num_tokens as tokens_after
    from answers as b
    join answers as t using (benchmark, compress, settings, problem_id)
    where b.role = 'base' and t.role = 'trained'
)
select
    benchmark,
    compress,
    count(*) as num_problems,
    round(avg(before), 4) as accuracy_before,
    round(avg(after), 4) as accuracy_after,
    count(*) filter (after > before) as num_won,
    count(*) filter (after < before) as num_lost,
    round(avg(tokens_before), 1) as tokens_before,
    round(avg(tokens_after), 1) as tokens_after,
    nullif(settings, '') as settings
from pairs
group by benchmark, compress, settings
order by benchmark, compress, settings
