-- grain: one row per problem and split of the selected run
select p.*, m.split, m.shard, m.position, m.benchmark, m.family
from raw_problems as p
join stg_memberships as m using (problem_id)
