-- grain: one row per stage fingerprint of the selected run but ingest, with finished records
select stage_fingerprint, count(distinct input_id) as num_inputs
from raw_rows
where
    stage_fingerprint in (select unnest(map_values(getvariable('fingerprints'))))
    and stage_fingerprint is distinct from fingerprint_of('ingest')
    and problem_id in (select problem_id from stg_memberships)
group by stage_fingerprint
union all
select stage_fingerprint, count(*) as num_inputs
from stg_models  -- a student is trained on all records at once
group by stage_fingerprint
order by stage_fingerprint
