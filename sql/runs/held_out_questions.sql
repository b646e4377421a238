-- grain: one row per problem the run evaluates on
select source, line, question
from stg_problems
where split = 'eval'
order by all
