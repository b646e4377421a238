-- grain: one row per problem that was answered under other settings, in earlier runs
select
    problem_id,
    count(*) filter (verdict <> 'correct') as num_wrong,
    count(*) as num_graded
from raw_rationales
where
    kind = 'long'
    and verdict <> 'unverifiable'
    and run_id <> getvariable('run_id')
    and stage_fingerprint is distinct from fingerprint_of('generate')
    and stage_fingerprint is distinct from fingerprint_of('verify')
group by problem_id
