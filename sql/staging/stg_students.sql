-- grain: one row per student that the corpus has trained, whichever run trained it
select m.*, json_extract_string(r.fingerprints, '$.mix') as examples_fingerprint
from raw_models as m
left join raw_runs as r using (run_id)
