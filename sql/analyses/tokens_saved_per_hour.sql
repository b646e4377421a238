-- grain: one row per compressor
-- asks: How many training tokens does an hour of the compressor save?
with chains as (
    select parent_id, model, sum(completion_tokens) as tokens_written, sum(latency_s) as request_seconds
    from stg_rationales
    where kind = 'compressed'
    group by parent_id, model
),
saved as (
    select
        c.model,
        count(*) as num_chains,
        sum(c.tokens_written)::bigint as tokens_written,
        sum(c.request_seconds) as request_seconds,
        coalesce(sum(p.num_tokens - k.num_tokens), 0)::bigint as tokens_saved
    from chains as c
    join stg_rationales as p on p.rationale_id = c.parent_id
    left join stg_rationales as k on k.parent_id = c.parent_id and k.kind = 'compressed' and k.chosen
    group by c.model
),
walls as (
    -- wall time of the stage over all invocations: what a GPU is paid for
    select sum((stage_seconds ->> '$.compress')::double) as wall_seconds from stg_invocations
)
select
    model,
    num_chains,
    tokens_written,
    tokens_saved,
    round(tokens_saved / nullif(tokens_written, 0), 4) as saved_per_token_written,
    round(request_seconds / 3600, 4) as request_hours,
    round(tokens_saved / nullif(wall_seconds / 3600, 0)) as tokens_saved_per_wall_hour
from saved, walls
order by tokens_saved desc, model
