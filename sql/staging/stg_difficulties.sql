-- grain: one row per graded problem of the selected run
select *
from raw_difficulties
where
    stage_fingerprint in (select unnest(map_values(getvariable('fingerprints'))))
    and problem_id in (select problem_id from stg_memberships)
