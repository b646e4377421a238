-- grain: one row per condition, filter and reason
with counted as (
    select
        condition,
        filter,
        reason,
        count(*) as num_rationales,
        count(distinct problem_id) as num_problems,
        round(avg(rd) filter (isfinite(rd)), 4) as mean_rd
    from stg_selections
    group by condition, filter, reason
)
select
    *,
    round(num_rationales / sum(num_rationales) over (partition by condition), 4) as share
from counted
order by
    condition desc,
    list_position(['accuracy', 'completeness', 'diversity', 'difficulty', 'kept'], filter),
    num_rationales desc,
    reason
