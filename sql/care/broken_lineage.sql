-- grain: one row per column that names rows which are not stored
select
    r.table_name, r.column_name,
    count(*) as num_rows,
    count(distinct r.to_id) as num_missing,
    min(r.id) as example,
    min_by(r.to_id, r.id) as missing
from row_references as r
anti join raw_rows as s on s.id = r.to_id
group by r.table_name, r.column_name
order by r.table_name, r.column_name
