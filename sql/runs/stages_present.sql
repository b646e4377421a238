-- grain: one row per stage fingerprint of the selected run that has rows, of whichever run
select distinct stage_fingerprint
from raw_rows
where stage_fingerprint in (select unnest(map_values(getvariable('fingerprints'))))
order by stage_fingerprint
