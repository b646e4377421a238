-- grain: one row per level and filter
-- asks: Does selection favour easy problems?
with decided as (
    select coalesce(r.level, d.level, 'ungraded') as level, s.filter, s.problem_id, s.rd
    from stg_selections as s
    join stg_rationales as r on r.rationale_id = s.rationale_id
    left join stg_difficulties as d on d.problem_id = s.problem_id
)
select
    level,
    filter,
    count(*) as num_rationales,
    count(distinct problem_id) as num_problems,
    round(count(*) / sum(count(*)) over (partition by level), 4) as share_of_level,
    round(avg(rd) filter (isfinite(rd)), 4) as mean_rd
from decided
group by level, filter
order by
    list_position(['easy', 'medium', 'hard', 'ungraded'], level),
    list_position(['accuracy', 'completeness', 'diversity', 'difficulty', 'kept'], filter)
