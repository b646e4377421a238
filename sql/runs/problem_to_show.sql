-- grain: one row per run: a training problem that `litecot show` has most to say of
select p.problem_id
from stg_problems as p
left join stg_examples as e using (problem_id)
where p.split = 'train'
order by e.example_id is null, p.problem_id
limit 1
