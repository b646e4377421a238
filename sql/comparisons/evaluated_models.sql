-- grain: one row per evaluated model, benchmark, settings and prompt, of any run
-- A student that nobody evaluated has one row, of no benchmark. is_of_run: whether the selected run asked it.
with asked as (
    select
        model_id, min(role) as role, benchmark, settings, compress,
        count(distinct problem_id) as num_questions
    from evaluated_answers
    group by model_id, benchmark, settings, compress
),
trained as (
    select distinct model_id, base
    from raw_models
),
of_run as (
    select distinct model_id
    from stg_evaluations
)
select
    coalesce(a.model_id, t.model_id) as model_id,
    coalesce(a.role, 'trained') as role,
    t.base,
    a.benchmark, a.settings, a.compress,
    coalesce(a.num_questions, 0) as num_questions,
    coalesce(a.model_id, t.model_id) in (select model_id from of_run) as is_of_run
from asked as a
full join trained as t using (model_id)
order by model_id, benchmark, settings, compress
