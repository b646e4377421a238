-- grain: one row per scorer that has values for the published chains
select
    v.scorer,
    count(*) as num_examples,
    round(avg(v.value) filter (isfinite(v.value)), 4) as mean_value,
    round(median(v.value), 4) as median_value
from stg_examples as e
join stg_score_values as v using (rationale_id)
group by v.scorer
order by v.scorer <> 'rd', v.scorer
