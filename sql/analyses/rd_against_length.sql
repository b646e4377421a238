-- grain: one row per scorer and kind of scored rationale
-- asks: Is Rationale Difficulty, or another scorer, only length in disguise?
with scored as (
    select v.scorer, r.kind, v.value, r.num_tokens
    from stg_score_values as v
    join stg_rationales as r using (rationale_id)
    where isfinite(v.value) and v.scorer <> 'length'
),
ranked as (
    -- equal values share the middle of their ranks, as Spearman's correlation wants it
    select
        scorer,
        kind,
        value,
        num_tokens,
        rank() over (partition by scorer, kind order by value)
            + (count(*) over (partition by scorer, kind, value) - 1) / 2 as value_rank,
        rank() over (partition by scorer, kind order by num_tokens)
            + (count(*) over (partition by scorer, kind, num_tokens) - 1) / 2 as length_rank,
        ceil(count(*) over (partition by scorer, kind) / 10) as a_tenth,
        count(*) over (partition by scorer, kind) as num_in_kind
    from scored
)
select
    scorer,
    kind,
    count(*) as num_rationales,
    case when count(*) > 1 then round(corr(value_rank, length_rank), 4) end as rank_correlation,
    round(median(value), 4) as median_value,
    round(avg(num_tokens), 1) as mean_tokens,
    round(avg(num_tokens) filter (value_rank <= a_tenth), 1) as mean_tokens_lowest_tenth,
    round(avg(num_tokens) filter (value_rank > num_in_kind - a_tenth), 1) as mean_tokens_highest_tenth
from ranked
group by scorer, kind
order by scorer <> 'rd', scorer, list_position(['long', 'rewritten', 'compressed'], kind)
