-- grain: one row per held-out problem, sample and use of <compress>
select
    concat_ws(':', p.problem_id, compress, sample) as record_id,
    p.problem_id, p.question, p.answer, p.answer_type, p.source, compress, sample
from stg_problems as p
cross join (select unnest([false, true]) as compress)
cross join (select unnest(range((getvariable('config') ->> 'num_samples')::bigint)) as sample)
where p.split = 'eval'
order by p.position, compress, sample
