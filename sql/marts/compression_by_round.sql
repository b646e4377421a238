-- grain: one row per compression round
with rounds as (
    select
        r.round,
        r.num_tokens,
        r.chosen,
        r.stop_reason,
        r.num_tokens / nullif(p.num_tokens, 0) as share_of_parent
    from stg_rationales as r
    left join stg_rationales as p on p.rationale_id = r.parent_id
    where r.kind = 'compressed'
),
final as (
    select
        round,
        count(*) as num_chains,
        round(avg(num_tokens), 1) as mean_tokens,
        round(avg(share_of_parent), 4) as mean_share_of_parent,
        count(*) filter (chosen) as num_chosen,
        count(*) filter (stop_reason = 'rebound') as num_rebounded,
        count(*) filter (stop_reason = 'answer_changed') as num_answer_changed,
        count(*) filter (stop_reason = 'answer_not_stated') as num_answer_not_stated,
        count(*) filter (stop_reason = 'truncated') as num_truncated,
        count(*) filter (stop_reason = 'min_reduction') as num_min_reduction,
        count(*) filter (stop_reason = 'max_rounds') as num_max_rounds,
        count(*) filter (stop_reason = 'rounds_done') as num_rounds_done,
        count(*) filter (stop_reason = 'refused') as num_refused,
        -- of the chains that ended here, by whatever reasons their method gives
        histogram(stop_reason) filter (stop_reason is not null) as stop_reasons
    from rounds
    group by round
)
select *, round(num_rebounded / num_chains, 4) as share_rebounded
from final
order by round
