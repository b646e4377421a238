-- grain: one row per answer of a student of the selected run to a held-out question, trained or base
select
    e.role,
    e.problem_id,
    e.benchmark,
    (e.verdict = 'correct')::int as is_correct,
    e.num_tokens,
    (e.finish_reason = 'length')::int as is_cut_off
from stg_evaluations as e
where not e.compress
order by e.role, e.problem_id, e.sample
