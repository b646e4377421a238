-- grain: one row per stage and model
-- asks: How long does a request wait, and how fast does a model write?
select
    stage,
    model,
    sum(num_requests)::bigint as num_requests,
    round(sum(seconds) / nullif(sum(num_requests), 0), 3) as mean_wait_s,
    round(quantile_cont(seconds / num_requests, 0.5) filter (num_requests > 0), 3) as median_wait_s,
    round(quantile_cont(seconds / num_requests, 0.99) filter (num_requests > 0), 3) as p99_wait_s,
    round(sum(completion_tokens) / nullif(sum(seconds), 0), 1) as tokens_per_request_second
from usage_events
group by stage, model
order by sum(seconds) desc, stage, model
