-- grain: one row per filter of the selection
with filters as (
    select
        unnest(['accuracy', 'completeness', 'diversity', 'difficulty']) as filter,
        unnest(range(1, 5)) as position
),
judged as (
    -- a filter judges what the ones before it let through
    select f.filter, f.position, count(*) as num_chains, count(*) filter (s.filter = f.filter) as num_dropped
    from filters as f
    join stg_selections as s
        on list_position(['accuracy', 'completeness', 'diversity', 'difficulty', 'kept'], s.filter) >= f.position
    group by f.filter, f.position
)
select filter, num_chains, num_dropped
from judged
order by position
