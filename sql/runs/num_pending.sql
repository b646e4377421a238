-- grain: one row per stage and shard: how many inputs are left, by the statement getvariable('pending')
select count(*) as num_pending
from query(getvariable('pending'))
