-- grain: one row per training problem with candidates; problems are compared within their shard only
with problems as (
    select problem_id, question, shard, position, coalesce(subject, source) as subject
    from stg_problems
    where
        split = 'train'
        and (getvariable('shard') is null or shard = getvariable('shard'))
        and problem_id in (select problem_id from stg_rationales)
),
graded as (
    select
        problem_id, verdict = 'correct' as is_correct,
        {'text': text, 'num_tokens': num_tokens} as chain,
        (verdict <> 'correct', num_tokens, candidate, rationale_id) as preference
    from stg_rationales
    where
        kind = 'long' and verdict <> 'unverifiable'
        and problem_id in (select problem_id from problems)
),
counted as (
    select
        problem_id,
        count(*) filter (not is_correct) as num_wrong,
        count(*) as num_graded,
        arg_min(chain, preference) as chain
    from graded
    group by problem_id
),
per_problem as (
    select
        p.*, c.chain.text as rationale, c.chain.num_tokens as num_tokens,
        coalesce(c.num_wrong, 0) as num_wrong, coalesce(c.num_graded, 0) as num_graded
    from problems as p
    left join counted as c using (problem_id)
),
-- a problem's own candidates say nothing about its type: they are in its error rate already
others as (
    select
        *,
        sum(num_wrong) over same_subject - num_wrong as subject_wrong,
        sum(num_graded) over same_subject - num_graded as subject_graded,
        (sum(num_wrong) over same_shard - num_wrong)
        / nullif(sum(num_graded) over same_shard - num_graded, 0) as shard_error_rate,
        -- the middle of its rank among equals, so that order among them is of no account
        (
            rank() over (partition by shard, num_tokens is null order by num_tokens) - 1
            + count(*) over (partition by shard, num_tokens) / 2
        ) / count(*) over (partition by shard, num_tokens is null) as quantile,
        (getvariable('config') ->> 'subject_prior')::double as prior
    from per_problem
    window
        same_shard as (partition by shard),
        same_subject as (partition by shard, subject)
),
final as (
    select
        o.problem_id as record_id, o.problem_id, o.question, o.rationale, o.num_tokens, o.position,
        case when o.num_tokens is not null then o.quantile end as length_quantile,
        o.num_wrong + coalesce(h.num_wrong, 0) as num_wrong,
        o.num_graded + coalesce(h.num_graded, 0) as num_graded,
        -- a small subject says little: it starts as `prior` candidates of the whole shard
        (o.subject_wrong + o.prior * o.shard_error_rate)
        / nullif(o.subject_graded + o.prior, 0) as subject_error_rate
    from others as o
    left join stg_error_history as h
        on h.problem_id = o.problem_id
        and coalesce((getvariable('config') ->> 'history')::boolean, true)
)
select * exclude (position)
from final
order by position
