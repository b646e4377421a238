-- grain: one row per condition, filter that decided and scorer, of the scored rationales
-- asks: How do kept rationales differ from dropped ones, by every scorer and by length alone?
select
    s.condition,
    s.filter,
    v.scorer,
    count(*) as num_rationales,
    round(avg(v.value) filter (isfinite(v.value)), 4) as mean_value
from stg_selections as s
join stg_score_values as v using (rationale_id)
group by s.condition, s.filter, v.scorer
order by
    s.condition desc,
    v.scorer <> 'rd',
    v.scorer,
    list_position(['accuracy', 'completeness', 'diversity', 'difficulty', 'kept'], s.filter)
