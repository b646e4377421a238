-- grain: one row per problem of the selected run that earlier runs answered under other settings
-- A draw stored by several stages (imported or drawn again) counts once, and not at all where this
-- run has it. What came after this run began does not count: a resumed run goes on as it started.
with earlier as (
    select
        problem_id, candidate, hash(text) as text_hash,
        arg_max(verdict, (created_at, rationale_id)) as verdict
    from raw_rationales
    where
        kind = 'long'
        and verdict <> 'unverifiable'
        and stage_fingerprint is distinct from fingerprint_of('generate')
        and stage_fingerprint is distinct from fingerprint_of('verify')
        and created_at < (select min(created_at) from raw_runs where run_id = getvariable('run_id'))
        and problem_id in (select problem_id from stg_memberships)
    group by problem_id, candidate, text_hash
),
own as (
    select problem_id, candidate, hash(text) as text_hash
    from stg_rationales
    where kind = 'long' and problem_id in (select problem_id from earlier)
)
select
    problem_id,
    count(*) filter (verdict <> 'correct') as num_wrong,
    count(*) as num_graded
from earlier
anti join own using (problem_id, candidate, text_hash)
group by problem_id
