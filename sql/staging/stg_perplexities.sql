-- grain: one row per training example that the selected run's student has read before training
select *
from raw_perplexities
where
    stage_fingerprint in (select unnest(map_values(getvariable('fingerprints'))))
    and problem_id in (select problem_id from stg_memberships)
