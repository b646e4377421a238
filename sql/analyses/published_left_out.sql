-- grain: one row per stage and reason: records refused, then rationales that the selection dropped
with refused as (
    select 1 as part, stage, reason, num_records
    from rejections_by_reason
),
dropped as (
    select 2 as part, 'select' as stage, reason, sum(num_rationales)::bigint as num_records
    from selection_by_filter
    where filter <> 'kept'
    group by reason
),
final as (
    from refused
    union all
    from dropped
)
select stage, reason, num_records
from final
order by
    part,
    case part when 1 then -num_records end,
    stage,
    reason
