-- grain: one row per question that is both trained and evaluated on, by its normalised wording
with questions as (
    select
        problem_id,
        split,
        -- case, blanks, $ and the punctuation of a sentence; a decimal point stays
        lower(replace(question, '$', ' ')) as lowered
    from stg_problems
),
wordings as (
    select
        problem_id,
        split,
        trim(regexp_replace(regexp_replace(lowered, '[.,;?]+(\s|$)', ' ', 'g'), '\s+', ' ', 'g'))
            as wording
    from questions
)
select t.problem_id as train_problem_id, e.problem_id as eval_problem_id, t.wording
from wordings as t
join wordings as e using (wording)
where t.split = 'train' and e.split = 'eval'
order by train_problem_id, eval_problem_id
