-- grain: one row per stored row that paid for model requests or for tokens (candidates share a request)
with rationales as (
    select
        case kind
            when 'long' then 'generate' when 'rewritten' then 'rewrite' else 'compress'
        end as stage,
        model, num_requests, prompt_tokens, completion_tokens, latency_s
    from stg_rationales
),
difficulties as (
    select 'difficulty' as stage, model, num_requests, prompt_tokens, completion_tokens, latency_s
    from stg_difficulties
),
rejections as (
    select stage, model, num_requests, prompt_tokens, completion_tokens, latency_s
    from stg_rejections
),
evaluations as (
    select
        'evaluate' as stage, model_id as model,
        num_requests, prompt_tokens, completion_tokens, latency_s
    from stg_evaluations
),
final as (
    from rationales
    union all by name
    from difficulties
    union all by name
    from rejections
    union all by name
    from evaluations
)
select
    stage,
    coalesce(model, 'unknown') as model,
    num_requests,
    prompt_tokens,
    completion_tokens,
    latency_s as seconds
from final
where num_requests > 0 or completion_tokens > 0
