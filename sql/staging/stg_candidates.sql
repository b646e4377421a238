-- grain: one row per candidate that the selected run's files bring for its problems
select *
from raw_candidates
where
    stage_fingerprint = fingerprint_of('ingest')
    and problem_id in (select problem_id from stg_memberships)
    -- unset but where sql/pending.py knows when the rows it needs were written: the rest is not opened
    and (getvariable('candidates_from') is null or created_at >= getvariable('candidates_from'))
    and (getvariable('candidates_to') is null or created_at <= getvariable('candidates_to'))
