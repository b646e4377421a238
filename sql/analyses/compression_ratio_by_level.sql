-- grain: one row per level and kind that was made from longer chains
-- asks: How much shorter do chains become, by difficulty?
with chains as (
    select
        parent_id,
        any_value(problem_id) as problem_id,
        any_value(level) as level,
        max(num_tokens) filter (chosen) as kept_tokens
    from stg_rationales
    where kind = 'compressed'
    group by parent_id
),
pairs as (
    select
        'compressed' as kind,
        coalesce(c.level, d.level, 'ungraded') as level,
        p.num_tokens as tokens_before,
        c.kept_tokens as tokens_after
    from chains as c
    join stg_rationales as p on p.rationale_id = c.parent_id
    left join stg_difficulties as d on d.problem_id = c.problem_id
    union all
    select
        'rewritten' as kind,
        coalesce(r.level, d.level, 'ungraded') as level,
        p.num_tokens as tokens_before,
        r.num_tokens as tokens_after
    from stg_rationales as r
    join stg_rationales as p on p.rationale_id = r.parent_id
    left join stg_difficulties as d on d.problem_id = r.problem_id
    where r.kind = 'rewritten' and r.finish_reason <> 'original'
)
-- a chain without a kept round stands as it is: num_unshortened counts it, the rest leaves it out
select
    level,
    kind,
    count(tokens_after) as num_chains,
    count(*) - count(tokens_after) as num_unshortened,
    coalesce(sum(tokens_before) filter (tokens_after is not null), 0)::bigint as tokens_before,
    coalesce(sum(tokens_after), 0)::bigint as tokens_after,
    round(sum(tokens_after) / sum(tokens_before) filter (tokens_after is not null), 4) as share_left,
    round(quantile_cont(tokens_after / tokens_before, 0.1), 4) as share_left_p10,
    round(quantile_cont(tokens_after / tokens_before, 0.9), 4) as share_left_p90
from pairs
where tokens_before > 0
group by level, kind
order by list_position(['easy', 'medium', 'hard', 'ungraded'], level), kind desc
