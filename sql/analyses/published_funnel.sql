-- grain: one row per step of the pipeline that came to something
select *
from funnel
where num_rows > 0
order by position
