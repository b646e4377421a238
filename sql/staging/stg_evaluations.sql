-- grain: one row per answer of an evaluated model of the selected run
select *
from raw_evaluations
where
    stage_fingerprint in (select unnest(map_values(getvariable('fingerprints'))))
    and problem_id in (select problem_id from stg_memberships)
