-- grain: one row per record that is left to do and is there twice, or has no id
-- What is left is the statement getvariable('pending').
select
    record_id,
    count(*) as num_rows
from query(getvariable('pending'))
group by record_id
having count(*) > 1 or record_id is null
order by record_id
