-- grain: one row per stage and model that was asked
-- price: where the recipe states one (estimate.price) for the role that the model has, per million tokens.
with settings as (
    select coalesce(nullif(settings, ''), '{}')::json as settings
    from stg_runs
),
roles as (
    select settings, unnest(json_keys(settings, '$.estimate.price')) as role
    from settings
),
prices as (
    select
        json_extract_string(settings, '$.models.' || role || '.model') as model,
        any_value(json_extract(settings, '$.estimate.price.' || role || '.input')::double) as input,
        any_value(json_extract(settings, '$.estimate.price.' || role || '.output')::double) as output,
        any_value(json_extract_string(settings, '$.estimate.price.' || role || '.currency')) as currency
    from roles
    group by all
)
select
    u.stage,
    u.model,
    count(*) as num_rows,
    sum(u.num_requests)::bigint as num_requests,
    sum(u.prompt_tokens)::bigint as prompt_tokens,
    sum(u.completion_tokens)::bigint as completion_tokens,
    round(sum(u.seconds), 1) as request_seconds,
    round(
        (sum(u.prompt_tokens) * any_value(p.input) + sum(u.completion_tokens) * any_value(p.output)) / 1e6, 4
    ) as price,
    any_value(p.currency) as currency
from usage_events as u
left join prices as p using (model)
group by u.stage, u.model
order by list_position(['generate', 'difficulty', 'rewrite', 'compress', 'evaluate'], u.stage), u.stage, u.model
