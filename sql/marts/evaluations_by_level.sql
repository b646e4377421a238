-- grain: one row per evaluated model, benchmark, settings, prompt and level of the questions, and level all, of any run
-- Samples are averaged by question first. pass_at_k: the chance that one of num_samples is correct, unbiased
-- (1 - C(n - c, k) / C(n, k)); median and p95 are answers: the smallest that
-- so many do not exceed.
with questions as (
    select
        *,
        min(num_samples) over (partition by model_id, benchmark, settings, compress) as k,
        count(level) over (partition by model_id, benchmark, settings, compress) as num_levelled
    from evaluated_questions
),
levelled as (
    select *, 'all' as of_level, 0 as place from questions
    union all by name
    select *, coalesce(level, 'ungraded') as of_level, 1 as place from questions where num_levelled > 0
),
by_question as (
    select
        model_id, min(role) as role, min(base) as base, benchmark, settings, compress, of_level, place,
        count(*) as num_questions,
        count(distinct family) as num_families,
        min(k) as num_samples,
        sum(num_samples) as num_answers,
        avg(num_correct / num_samples) as accuracy,
        avg(
            case
                when num_correct = 0 then 0
                when num_samples - num_correct < k then 1
                else 1 - list_product(
                    list_transform(range(num_samples - num_correct + 1, num_samples + 1), lambda i: 1 - k / i)
                )
            end
        ) as pass_at_k,
        avg(majority) as maj_at_k,
        avg(mean_tokens) as mean_tokens,
        avg(num_cut_off / num_samples) as share_cut_off,
        avg(mean_seconds) as mean_seconds,
        md5(string_agg(problem_id, ',' order by problem_id))[:16] as question_set
    from levelled
    group by model_id, benchmark, settings, compress, of_level, place
),
lengths as (
    select
        a.model_id, a.benchmark, a.settings, a.compress, l.of_level,
        quantile_disc(a.num_tokens, 0.5) as median_tokens,
        quantile_disc(a.num_tokens, 0.95) as p95_tokens
    from evaluated_answers as a
    join levelled as l using (model_id, benchmark, settings, compress, problem_id)
    group by a.model_id, a.benchmark, a.settings, a.compress, l.of_level
)
select
    q.model_id,
    q.role,
    q.base,
    q.benchmark,
    q.compress,
    q.of_level as level,
    q.num_questions,
    q.num_families,
    q.num_samples,
    q.num_answers,
    round(q.accuracy, 6) as accuracy,
    round(q.pass_at_k, 6) as pass_at_k,
    round(q.maj_at_k, 6) as maj_at_k,
    round(q.mean_tokens, 2) as mean_tokens,
    l.median_tokens,
    l.p95_tokens,
    round(q.mean_tokens / nullif(q.accuracy, 0), 2) as tokens_per_correct,
    round(q.share_cut_off, 6) as share_cut_off,
    round(q.mean_seconds, 4) as mean_seconds,
    q.question_set,
    q.settings
from by_question as q
join lengths as l using (model_id, benchmark, settings, compress, of_level)
order by
    q.benchmark, q.settings, q.model_id, q.compress, q.place,
    list_position(['easy', 'medium', 'hard'], q.of_level) nulls last, q.of_level
