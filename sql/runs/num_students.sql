-- grain: one row per base: how many students were trained from it, whichever run trained them
select base, count(*) as num_students
from raw_models
group by base
order by base
