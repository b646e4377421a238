-- grain: one row per source of problems, published or not
select distinct source
from stg_problems
order by source
