-- grain: one row per condition, scorer and whether the rationale was kept
-- A rank is the share of the condition's scored rationales below it: 0 the lowest value, 1 the highest. Ranks of
-- scorers can be shown side by side, their values cannot.
with decided as (
    select s.condition, s.kept, v.scorer, v.value
    from stg_selections as s
    join stg_score_values as v using (rationale_id)
    where isfinite(v.value)
),
ranked as (
    select *, percent_rank() over (partition by condition, scorer order by value) as rank
    from decided
)
select
    condition,
    scorer,
    kept,
    count(*) as num_rationales,
    round(quantile_cont(rank, 0.1), 4) as p10,
    round(quantile_cont(rank, 0.25), 4) as p25,
    round(quantile_cont(rank, 0.5), 4) as median,
    round(quantile_cont(rank, 0.75), 4) as p75,
    round(quantile_cont(rank, 0.9), 4) as p90,
    round(median(value), 4) as median_value
from ranked
group by condition, scorer, kept
order by condition desc, scorer <> 'rd', scorer = 'length', scorer, kept desc
