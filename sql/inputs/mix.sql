-- grain: one row per kept selection
select
    s.selection_id as record_id, s.problem_id, s.rationale_id, p.question, s.condition, r.text,
    r.incomplete
from stg_selections as s
join stg_rationales as r using (rationale_id)
join stg_problems as p on p.problem_id = s.problem_id
where s.kept
order by p.position, s.condition, s.rank
