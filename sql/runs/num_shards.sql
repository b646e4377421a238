-- grain: one row per run: into how many shards its training problems are cut
select coalesce(max(shard) + 1, 0) as num_shards
from stg_problems
where split = 'train'
