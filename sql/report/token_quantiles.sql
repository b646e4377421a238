-- grain: one row per kind of chain and level; of compressed chains only the kept round counts
with levels as (
    select problem_id, level from stg_difficulties
),
chains as (
    select coalesce(r.level, l.level, 'ungraded') as level, r.kind, r.num_tokens
    from stg_rationales as r
    left join levels as l using (problem_id)
    where r.kind <> 'compressed' or r.chosen
)
select
    kind,
    level,
    count(*) as num_chains,
    round(avg(num_tokens), 1) as mean_tokens,
    quantile_disc(num_tokens, 0.1) as p10,
    quantile_disc(num_tokens, 0.25) as p25,
    quantile_disc(num_tokens, 0.5) as median,
    quantile_disc(num_tokens, 0.75) as p75,
    quantile_disc(num_tokens, 0.9) as p90,
    max(num_tokens) as max_tokens
from chains
group by kind, level
order by
    list_position(['long', 'rewritten', 'compressed'], kind),
    list_position(['easy', 'medium', 'hard', 'ungraded'], level)
