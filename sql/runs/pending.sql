-- grain: one row per input of a stage that has neither rows nor a rejection under the stage's settings
-- The inputs are the statement getvariable('inputs'), a file of sql/inputs; what the stage writes is
-- the table getvariable('writes').
with inputs as (
    from query(getvariable('inputs'))
),
done as (
    select input_id from query_table('raw_' || getvariable('writes'))
    where stage_fingerprint = getvariable('stage_fingerprint')
    union
    select input_id from raw_rejections
    where stage_fingerprint = getvariable('stage_fingerprint')
)
select *
from inputs
where
    record_id not in (select input_id from done)
    and (
        getvariable('shard') is null
        or problem_id in (select problem_id from stg_problems where shard = getvariable('shard'))
    )
