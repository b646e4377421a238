-- grain: one row per imported candidate
select
    c.candidate_id as record_id, c.problem_id, p.answer, p.answer_type,
    c.candidate, c.text, c.model, c.recorded_correct, c.finish_reason
from stg_candidates as c
join stg_problems as p using (problem_id)
where p.split = 'train'
order by p.position, c.candidate
