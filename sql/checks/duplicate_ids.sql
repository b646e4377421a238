-- grain: one row per id that is stored more than once
select table_name, id, count(*) as num_rows
from stg_stored_ids
group by table_name, id
having count(*) > 1
order by table_name, id
