-- grain: one row per scored rationale of the selected run that its source graded, in its problem's order
-- is_right: of its answer, by our verifier; is_valid: by the source
select
    s.rationale_id,
    s.problem_id,
    p.subject,
    r.recorded_correct as is_valid,
    r.verdict = 'correct' as is_right,
    s.rd, s.ifd, s.grape, s.rsr, s.naturalness,
    s.num_tokens as length
from stg_scores as s
join stg_rationales as r using (rationale_id)
join stg_problems as p on p.problem_id = s.problem_id
where r.recorded_correct is not null and p.split = 'train'
order by p.position, r.candidate
