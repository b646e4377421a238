-- grain: one row per run: into how many shards its problems of a split are cut
-- The split is getvariable('split').
select coalesce(max(shard) + 1, 0) as num_shards
from stg_problems
where split = getvariable('split')
