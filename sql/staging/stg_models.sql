-- grain: one row per trained model of the selected run
select *
from raw_models
where stage_fingerprint in (select unnest(map_values(getvariable('fingerprints'))))
