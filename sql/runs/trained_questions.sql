-- grain: one row per problem with a training example
select distinct problem_id, source, line, question
from stg_problems
where problem_id in (select problem_id from stg_examples)
order by source, line
