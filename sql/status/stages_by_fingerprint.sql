-- grain: one row per fingerprint of a stage, of whichever run
select
    f.value ->> '$' as fingerprint,
    min(r.recipe) as recipe,
    min(f.key) as stage
from raw_runs as r, json_each(r.fingerprints) as f
group by all
order by all
