-- grain: one row per table that has rows, all runs together
select table_name, count(*) as num_rows
from raw_rows
group by table_name
order by table_name
