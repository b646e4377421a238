-- grain: one row per training example to be read, as many as asked for: the first by id, which is a hash
select example_id as record_id, problem_id, prompt, completion, condition
from stg_examples
qualify row_number() over (order by example_id) <= (getvariable('config') ->> 'num_examples')::bigint
order by example_id
