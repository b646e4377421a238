-- grain: one row per training example, in an order that depends on content alone
select example_id as record_id, problem_id, prompt, completion, condition
from stg_examples
order by example_id
