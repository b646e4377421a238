-- grain: one row per training problem with long candidates
with graded as (
    select problem_id, num_tokens, candidate, text, verdict = 'correct' as is_correct
    from stg_rationales
    where kind = 'long' and verdict <> 'unverifiable'
),
counted as (
    select
        problem_id,
        count(*) filter (not is_correct) as num_wrong,
        count(*) as num_graded,
        arg_min(text, (not is_correct, num_tokens, candidate)) as rationale
    from graded
    group by problem_id
),
per_problem as (
    select
        p.problem_id, p.question, p.shard, p.position, coalesce(p.subject, p.source) as subject,
        c.rationale, coalesce(c.num_wrong, 0) as num_wrong, coalesce(c.num_graded, 0) as num_graded
    from stg_problems as p
    left join counted as c using (problem_id)
    where p.split = 'train' and p.problem_id in (select problem_id from stg_rationales)
),
final as (
    select
        problem_id as record_id, problem_id, question, rationale, position,
        per_problem.num_wrong + coalesce(h.num_wrong, 0) as num_wrong,
        per_problem.num_graded + coalesce(h.num_graded, 0) as num_graded,
        -- within the shard, so that a problem's score never depends on which shard ends first
        coalesce(
            sum(per_problem.num_wrong) over (partition by shard, subject)
            / nullif(sum(per_problem.num_graded) over (partition by shard, subject), 0), 0
        ) as subject_error_rate
    from per_problem
    left join stg_error_history as h using (problem_id)
)
select record_id, problem_id, question, rationale, num_wrong, num_graded, subject_error_rate
from final
order by position
