-- grain: one row per id that is stored more than once, all runs together
select table_name, id, count(*) as num_rows
from raw_rows
group by table_name, id
having count(*) > 1
order by table_name, id
