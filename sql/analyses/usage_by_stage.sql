-- grain: one row per stage and model
-- asks: What did each stage cost, by model?
select
    stage,
    model,
    count(*) as num_rows,
    sum(num_requests)::bigint as num_requests,
    sum(prompt_tokens)::bigint as prompt_tokens,
    sum(completion_tokens)::bigint as completion_tokens,
    round(sum(seconds), 3) as seconds
from usage_events
group by stage, model
order by list_position(['generate', 'difficulty', 'rewrite', 'compress', 'evaluate'], stage), stage, model
