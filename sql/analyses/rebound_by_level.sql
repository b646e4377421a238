-- grain: one row per level and stop reason
-- asks: Where does compression stop, and why, by difficulty?
with last_rounds as (
    select coalesce(r.level, d.level, 'ungraded') as level, r.stop_reason, r.round, r.num_tokens, r.parent_id
    from stg_rationales as r
    left join stg_difficulties as d using (problem_id)
    where r.kind = 'compressed' and r.stop_reason is not null
),
kept as (
    select parent_id, round as kept_round, num_tokens as kept_tokens
    from stg_rationales
    where kind = 'compressed' and chosen
),
final as (
    select
        level,
        stop_reason,
        count(*) as num_chains,
        round(avg(round), 2) as mean_rounds,
        round(avg(kept_round), 2) as mean_kept_round,
        round(avg(kept_tokens), 1) as mean_kept_tokens
    from last_rounds
    left join kept using (parent_id)
    group by level, stop_reason
)
select *, round(num_chains / sum(num_chains) over (partition by level), 4) as share_of_level
from final
order by list_position(['easy', 'medium', 'hard', 'ungraded'], level), num_chains desc, stop_reason
