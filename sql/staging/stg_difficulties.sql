-- grain: one row per graded problem of the selected run
-- Quantile thresholds are read among the problems of a shard of this run. Equal scores share the
-- middle of their ranks, so they share a level.
with graded as (
    select *
    from raw_difficulties
    where
        stage_fingerprint in (select unnest(map_values(getvariable('fingerprints'))))
        and problem_id in (select problem_id from stg_memberships)
),
placed as (
    select
        g.*,
        (
            rank() over (partition by m.shard order by g.difficulty) - 1
            + count(*) over (partition by m.shard, g.difficulty) / 2
        ) / count(*) over (partition by m.shard) as quantile
    from graded as g
    join stg_memberships as m on m.problem_id = g.problem_id and m.split = 'train'
    where g.level is null
),
levelled as (
    select
        * exclude (quantile) replace (
            case
                when quantile < medium_from then 'easy' when quantile < hard_from then 'medium' else 'hard'
            end as level
        )
    from placed
)
from graded
where level is not null
union all by name
from levelled
