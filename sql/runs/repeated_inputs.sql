-- grain: one row per record that is left to do, by the statement getvariable('pending'), and that is there twice or has no id
select
    record_id,
    count(*) as num_rows
from query(getvariable('pending'))
group by record_id
having count(*) > 1 or record_id is null
order by record_id
