-- grain: one row per run: its training examples and the problems they are of
select count(*) as num_examples, count(distinct problem_id) as num_problems
from stg_examples
