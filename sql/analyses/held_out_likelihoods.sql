-- grain: one row per solution of a held-out question that the selected run's student has read
-- nats a token: of the gold answer behind the question alone, of the solution, of the answer behind both
select
    s.student,
    s.problem_id,
    p.subject as benchmark,
    ln(s.ppl_answer) as answer,
    ln(s.ppl_rationale) as solution,
    ln(s.ppl_answer_given_rationale) as answer_behind_solution
from stg_scores as s
join stg_rationales as r using (rationale_id)
join stg_problems as p on p.problem_id = s.problem_id
where p.split = 'train'
order by p.position, r.candidate
