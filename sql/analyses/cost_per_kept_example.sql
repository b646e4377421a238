-- grain: one row per stage that asks models
-- asks: What does one training example cost, and which stage costs most?
with cost as (
    select
        stage,
        sum(num_requests)::bigint as num_requests,
        sum(prompt_tokens)::bigint as prompt_tokens,
        sum(completion_tokens)::bigint as completion_tokens,
        sum(seconds) as request_seconds
    from usage_events
    where stage <> 'evaluate'
    group by stage
),
kept as (
    select count(*) as num_examples from stg_examples
)
select
    stage,
    num_requests,
    completion_tokens,
    round(num_requests / nullif(num_examples, 0), 2) as requests_per_example,
    round(prompt_tokens / nullif(num_examples, 0), 1) as prompt_tokens_per_example,
    round(completion_tokens / nullif(num_examples, 0), 1) as completion_tokens_per_example,
    round(request_seconds / nullif(num_examples, 0), 3) as request_seconds_per_example
from cost, kept
order by completion_tokens desc, stage
