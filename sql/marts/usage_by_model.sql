-- grain: one row per model that was asked
select
    model,
    count(*) as num_rows,
    sum(num_requests)::bigint as num_requests,
    sum(prompt_tokens)::bigint as prompt_tokens,
    sum(completion_tokens)::bigint as completion_tokens,
    round(sum(seconds), 3) as request_seconds  -- waited, summed over requests in flight together
from usage_events
group by model
order by completion_tokens desc, model
