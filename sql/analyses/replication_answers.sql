-- grain: one row per question, prompt and settings of a student of the selected run, trained or base
-- level: how hard a question of the nano world is by construction: 1 or 2 numbered steps, 3 to 5, or more
with steps as (
    select problem_id, len(regexp_extract_all(question, '(?:^|\n)[0-9]+\) ')) as num_steps
    from stg_problems
    where split = 'eval'
)
select
    e.role,
    e.compress,
    e.problem_id,
    coalesce(any_value(e.family), e.problem_id) as family,
    case when any_value(s.num_steps) <= 2 then 'easy' when any_value(s.num_steps) <= 5 then 'medium' else 'hard' end
        as level,
    count(*) as num_samples,
    count(*) filter (e.verdict = 'correct') as num_correct,
    avg(e.num_tokens) as mean_tokens,
    count(*) filter (e.finish_reason = 'length') as num_cut_off,
    avg(e.latency_s) as mean_seconds
from stg_evaluations as e
join steps as s using (problem_id)
group by e.role, e.compress, e.settings, e.problem_id
order by e.role, e.compress, e.settings, e.problem_id
