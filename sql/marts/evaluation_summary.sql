-- grain: one row per evaluated model, benchmark, use of <compress> and settings it was asked with
select
    role,
    model_id,
    benchmark,
    compress,
    count(distinct problem_id) as num_problems,
    count(*) as num_answers,
    round(avg((verdict = 'correct')::int), 4) as accuracy,
    round(avg(num_tokens), 1) as mean_tokens,
    round(avg(latency_s), 4) as mean_seconds,
    round(avg((verdict = 'no_answer')::int), 4) as share_no_answer,
    round(avg((verdict = 'truncated')::int), 4) as share_truncated,
    round(avg((finish_reason = 'length')::int), 4) as share_cut_off,
    settings
from stg_evaluations
group by role, model_id, benchmark, compress, settings
order by list_position(['base', 'trained', 'teacher'], role), model_id, benchmark, compress, settings
