-- grain: one row per held-out problem, sample and use of <compress>
with asked as (
    select
        getvariable('config') ->> 'compress' as prompts,
        (getvariable('config') ->> 'num_samples')::bigint as num_samples
)
select
    concat_ws(':', p.problem_id, compress, sample) as record_id,
    p.problem_id, p.question, p.answer, p.answer_type, coalesce(p.benchmark, p.source) as source,
    p.family, compress, sample
from stg_problems as p
cross join (select unnest([false, true]) as compress)
cross join (select unnest(range((select num_samples from asked))) as sample)
where p.split = 'eval' and compress in (select unnest(case prompts
    when 'plain' then [false] when 'compress' then [true] else [false, true] end) from asked)
order by p.position, compress, sample
