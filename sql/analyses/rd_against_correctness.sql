-- grain: one row per share of correct candidates a problem has
-- asks: Do rationales of hard problems help the student less?
with answered as (
    select problem_id, round(avg((verdict = 'correct')::int), 2) as share_correct
    from stg_rationales
    where kind = 'long' and verdict <> 'unverifiable'
    group by problem_id
)
select
    a.share_correct,
    count(distinct a.problem_id) as num_problems,
    count(s.rationale_id) as num_scored,
    round(avg(s.rd) filter (isfinite(s.rd)), 4) as mean_rd,
    round(median(s.rd), 4) as median_rd,
    round(avg((s.rd < 1)::int), 4) as share_helping
from answered as a
left join stg_scores as s using (problem_id)
group by a.share_correct
order by a.share_correct
