-- grain: one row per rationale of the selected run
select *
from raw_rationales
where
    stage_fingerprint in (select unnest(map_values(getvariable('fingerprints'))))
    and problem_id in (select problem_id from stg_memberships)
    -- unset but where sql/pending.py knows when the rows it needs were written: the rest is not opened
    and (getvariable('rationales_from') is null or created_at >= getvariable('rationales_from'))
    and (getvariable('rationales_to') is null or created_at <= getvariable('rationales_to'))
