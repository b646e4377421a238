-- grain: one row per stage, over all invocations of the selected run
with invocations as (
    select
        coalesce(nullif(stage_seconds, ''), '{}')::json as seconds,
        coalesce(nullif(stage_rows, ''), '{}')::json as made
    from stg_invocations
),
stages as (
    select unnest(json_keys(seconds)) as stage, seconds, made
    from invocations
),
final as (
    select
        stage,
        count(*) as num_invocations,
        sum(json_extract(made, '$."' || stage || '"')::bigint)::bigint as num_rows,
        round(sum(json_extract(seconds, '$."' || stage || '"')::double), 1) as wall_seconds
    from stages
    group by stage
)
from final
order by
    list_position(
        [
            'ingest', 'generate', 'verify', 'difficulty', 'rewrite', 'compress', 'score', 'select', 'mix', 'measure',
            'train'
        ],
        stage
    ) nulls last,
    stage
