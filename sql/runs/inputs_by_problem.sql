-- grain: one row per problem with inputs of a stage: how many there are, and how many of them are left
-- As a run asks it: getvariable('inputs') and getvariable('pending') are the statements it streams from.
select
    problem_id,
    count(*) as num_inputs,
    count(*) filter (record_id in (select record_id from query(getvariable('pending')))) as num_pending
from query(getvariable('inputs'))
group by problem_id
