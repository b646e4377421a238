-- grain: one row per shard, the one asked for: when its rows were written; nulls where none is
-- Row groups of another time are not opened for their texts (stg_rationales, stg_candidates).
with shard as (
    select problem_id from stg_problems where shard = getvariable('shard')
),
rationales as (
    select min(created_at) as rationales_from, max(created_at) as rationales_to
    from stg_rationales
    where problem_id in (select problem_id from shard)
),
candidates as (
    select min(created_at) as candidates_from, max(created_at) as candidates_to
    from stg_candidates
    where problem_id in (select problem_id from shard)
)
select *
from rationales
cross join candidates
