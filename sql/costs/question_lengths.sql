-- grain: one row per problem of the selected run: characters of its question
select problem_id, min(length(question)) as num_characters
from stg_problems
group by problem_id
