-- grain: one row per rationale whose source graded it otherwise than the verifier
select
    r.rationale_id,
    r.problem_id,
    r.verdict,
    r.recorded_correct,
    p.answer as gold_answer,
    p.answer_type,
    r.extracted_answer,
    r.model,
    right(r.text, 200) as text_tail
from stg_rationales as r
join (select distinct on (problem_id) problem_id, answer, answer_type from stg_problems) as p
    using (problem_id)
where r.recorded_correct is not null and r.recorded_correct <> (r.verdict = 'correct')
order by r.problem_id, r.candidate, r.rationale_id
