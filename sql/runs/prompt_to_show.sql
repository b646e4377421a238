-- grain: one row per run: the shortest prompt that its student learnt to answer
select prompt
from stg_examples
order by length(prompt), prompt
limit 1
