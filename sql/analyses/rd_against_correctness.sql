-- grain: one row per share of correct candidates a problem has and scorer of its rationales
-- asks: Do rationales of hard problems help the student less, by RD and by the other scorers?
with answered as (
    select problem_id, round(avg((verdict = 'correct')::int), 2) as share_correct
    from stg_rationales
    where kind = 'long' and verdict <> 'unverifiable'
    group by problem_id
)
select
    v.scorer,
    a.share_correct,
    count(distinct a.problem_id) as num_problems,
    count(v.rationale_id) as num_scored,
    round(avg(v.value) filter (isfinite(v.value)), 4) as mean_value,
    round(median(v.value), 4) as median_value,
    case when v.scorer = 'rd' then round(avg((v.value < 1)::int), 4) end as share_helping
from answered as a
left join stg_score_values as v using (problem_id)
group by v.scorer, a.share_correct
order by v.scorer <> 'rd', v.scorer, a.share_correct
