-- grain: one row per record refused and reason, of the selected run
select *
from raw_rejections
where
    run_id = getvariable('run_id')  -- a line that could not be read belongs to no problem
    or (
        stage_fingerprint in (select unnest(map_values(getvariable('fingerprints'))))
        and problem_id in (select problem_id from stg_memberships)
    )
