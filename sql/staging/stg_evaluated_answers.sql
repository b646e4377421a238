-- grain: one row per answer of an evaluated model: model, benchmark, settings, prompt, question and sample, of any run
-- settings: what answers have to share to be compared. Rows of earlier versions have none: there it is what the run
-- that made them says of its evaluation, or where it says nothing the run's id.
-- base: the model that a trained one started from; whatever a student was asked as, it is a trained one.
-- level: the latest the question was graded as, in any run, else what its subject names last,
-- where that is a level: MATH's "Algebra, 5".
with tables as (
    select run_id, json_extract(settings, '$.evaluate') as evaluate
    from raw_runs
),
runs as (
    select
        run_id,
        json_object(
            'max_tokens', evaluate -> 'max_tokens', 'prompt', evaluate -> 'prompt',
            'temperature', evaluate -> 'temperature', 'top_p', evaluate -> 'top_p'
        )::varchar as settings
    from tables
    where evaluate is not null
),
grades as (
    select problem_id, arg_max(level, created_at) as level
    from raw_difficulties
    where level is not null
    group by problem_id
),
subjects as (
    select
        problem_id,
        nullif(
            min(lower(regexp_extract(subject, '(?i)(?:^|, ?)(?:level )?(easy|medium|hard|[0-9]{1,2})$', 1))), ''
        ) as level
    from raw_problems
    group by problem_id
),
bases as (
    select model_id, min(base) as base
    from raw_models
    group by model_id
),
answers as (
    select e.*, coalesce(e.settings, r.settings, e.run_id) as shared
    from raw_evaluations as e
    left join runs as r on r.run_id = e.run_id
)
select
    a.* exclude (settings, family, shared, role),
    case when b.model_id is null then a.role else 'trained' end as role,
    a.shared as settings,
    coalesce(a.family, a.problem_id) as family,
    a.verdict = 'correct' as correct,
    a.finish_reason = 'length' as is_cut_off,
    coalesce(g.level, s.level) as level,
    b.base
from answers as a
left join grades as g using (problem_id)
left join subjects as s using (problem_id)
left join bases as b using (model_id)
-- two runs that ask the same under the same settings hold the same answer twice
qualify row_number() over (
    partition by a.model_id, a.benchmark, a.shared, a.compress, a.problem_id, a.sample
    order by a.created_at, a.evaluation_id
) = 1
