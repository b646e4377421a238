-- grain: one row per level
-- asks: How much shorter do chains become, by difficulty?
with kept as (
    select problem_id, parent_id, level, num_tokens
    from stg_rationales
    where kind = 'compressed' and chosen
),
pairs as (
    select
        coalesce(k.level, d.level, 'ungraded') as level,
        p.num_tokens as tokens_before,
        k.num_tokens as tokens_after
    from kept as k
    join stg_rationales as p on p.rationale_id = k.parent_id
    left join stg_difficulties as d on d.problem_id = k.problem_id
)
select
    level,
    count(*) as num_chains,
    sum(tokens_before)::bigint as tokens_before,
    sum(tokens_after)::bigint as tokens_after,
    round(sum(tokens_after) / sum(tokens_before), 4) as share_left,
    round(quantile_cont(tokens_after / tokens_before, 0.1), 4) as share_left_p10,
    round(quantile_cont(tokens_after / tokens_before, 0.9), 4) as share_left_p90
from pairs
where tokens_before > 0
group by level
order by list_position(['easy', 'medium', 'hard', 'ungraded'], level)
