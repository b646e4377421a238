-- grain: one row per question that is both trained and evaluated on
with questions as (
    select
        problem_id,
        split,
        trim(regexp_replace(lower(question), '\s+', ' ', 'g')) as wording
    from stg_problems
)
select t.problem_id as train_problem_id, e.problem_id as eval_problem_id, t.wording
from questions as t
join questions as e using (wording)
where t.split = 'train' and e.split = 'eval'
order by train_problem_id, eval_problem_id
