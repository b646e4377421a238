-- grain: one row per answer of model getvariable('model'), of any run
-- The first getvariable('most') of each benchmark, settings and prompt.
with answers as (
    select *
    from evaluated_answers
    where model_id = getvariable('model')
    qualify
        row_number() over (partition by benchmark, settings, compress order by problem_id, sample)
        <= getvariable('most')
),
problems as (
    select problem_id, min(question) as question, min(answer) as answer
    from raw_problems
    group by problem_id
)
select
    a.benchmark, a.settings, a.compress, a.problem_id, a.sample, p.question, p.answer,
    a.extracted_answer, a.verdict, a.num_tokens, a.is_cut_off, a.evaluation_id
from answers as a
left join problems as p using (problem_id)
order by a.benchmark, a.settings, a.compress, a.problem_id, a.sample
