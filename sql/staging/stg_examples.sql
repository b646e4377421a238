-- grain: one row per training example of the selected run
select *
from raw_examples
where
    stage_fingerprint in (select unnest(map_values(getvariable('fingerprints'))))
    and problem_id in (select problem_id from stg_memberships)
