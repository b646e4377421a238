-- grain: one row per correct rationale that was not cut off; of compressed chains only the kept round
select r.rationale_id as record_id, r.problem_id, p.question, p.answer, r.text
from stg_rationales as r
join stg_problems as p using (problem_id)
where
    p.split = 'train'
    and (r.verdict = 'correct' or not coalesce((getvariable('config') ->> 'only_correct')::boolean, true))
    and r.cut_off is null
    and (r.kind <> 'compressed' or r.chosen)
    and list_contains(from_json(getvariable('config') -> 'kinds', '["varchar"]'), r.kind)
order by p.position, r.kind, r.candidate, r.round
