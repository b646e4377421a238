-- grain: one row per training problem
select problem_id as record_id, problem_id, question, answer, answer_type
from stg_problems
where split = 'train'
order by position
