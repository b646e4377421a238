-- grain: one row per model that was asked
select
    model,
    count(*) as num_rows,
    sum(num_requests)::bigint as num_requests,
    sum(prompt_tokens)::bigint as prompt_tokens,
    sum(completion_tokens)::bigint as completion_tokens,
    round(sum(seconds), 3) as seconds,
    round(sum(completion_tokens) / nullif(sum(seconds), 0), 1) as tokens_per_second
from usage_events
group by model
order by completion_tokens desc, model
