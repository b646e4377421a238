-- grain: one row per record refused and reason, of the selected run
select *
from raw_rejections
where
    stage_fingerprint in (select unnest(map_values(getvariable('fingerprints'))))
    -- a line that could not be read belongs to no problem, but to the files it was in
    and (problem_id is null or problem_id in (select problem_id from stg_memberships))
