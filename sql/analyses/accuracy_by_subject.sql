-- grain: one row per source and subject
-- asks: Which subjects are answered wrongly most often?
with answers as (
    select p.source, coalesce(p.subject, 'none') as subject, r.problem_id, r.verdict, r.num_tokens
    from stg_rationales as r
    join stg_problems as p using (problem_id)
    where r.kind = 'long' and p.split = 'train' and r.verdict <> 'unverifiable'
),
per_problem as (
    select
        source, subject, problem_id,
        avg((verdict = 'correct')::int) as share_correct,
        avg(num_tokens) as mean_tokens
    from answers
    group by source, subject, problem_id
)
select
    source,
    subject,
    count(*) as num_problems,
    round(avg(share_correct), 4) as mean_accuracy,
    round(avg((share_correct > 0)::int), 4) as share_solved_at_all,
    round(avg(mean_tokens), 1) as mean_tokens
from per_problem
group by source, subject
order by mean_accuracy, num_problems desc, source, subject
