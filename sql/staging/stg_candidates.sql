-- grain: one row per candidate that the selected run's files bring for its problems
select *
from raw_candidates
where
    stage_fingerprint = fingerprint_of('ingest')
    and problem_id in (select problem_id from stg_memberships)
