-- grain: one row per correct chain of the kind the recipe compresses that was not cut off
select
    r.rationale_id as record_id, r.problem_id, p.question, p.answer, p.answer_type,
    coalesce(r.level, d.level) as level, r.candidate, r.text, r.num_tokens
from stg_rationales as r
join stg_problems as p using (problem_id)
left join stg_difficulties as d using (problem_id)
where
    p.split = 'train'
    and r.verdict = 'correct'
    and r.cut_off is null
    and r.kind = getvariable('config') ->> 'source'
order by p.position, r.candidate
