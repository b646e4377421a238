-- grain: one row per rationale and condition of the selected run
select *
from raw_selections
where
    stage_fingerprint in (select unnest(map_values(getvariable('fingerprints'))))
    and problem_id in (select problem_id from stg_memberships)
