-- grain: one row per level and outcome of the rewrite
-- asks: Which levels are rewritten at once, and which fail, with what fault?
with outcomes as (
    select
        problem_id, if(finish_reason = 'original', 'original', 'accepted') as outcome, level,
        num_requests, num_tokens
    from stg_rationales
    where kind = 'rewritten'
    union all
    select problem_id, reason as outcome, null as level, num_requests, null as num_tokens
    from stg_rejections
    where stage = 'rewrite'
),
levels as (
    select coalesce(o.level, d.level, 'ungraded') as level, o.outcome, o.num_requests, o.num_tokens
    from outcomes as o
    left join stg_difficulties as d using (problem_id)
)
select
    level,
    outcome,
    count(*) as num_problems,
    round(count(*) / sum(count(*)) over (partition by level), 4) as share,
    round(avg(num_requests), 2) as mean_requests,
    round(avg(num_tokens), 1) as mean_tokens
from levels
group by level, outcome
order by list_position(['easy', 'medium', 'hard', 'ungraded'], level), num_problems desc, outcome
