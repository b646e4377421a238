-- grain: one row per stored row that goes when the runs of getvariable('pruned') go
-- It was stored by one of them, no other run has it too, and nothing that stays was made from it.
with recursive pruned as (
    select unnest(from_json(getvariable('pruned')::json, '["varchar"]')) as run_id
),
kept as (
    select run_id, fingerprints from raw_runs where run_id not in (select run_id from pruned)
),
stages_kept as (
    select distinct k.run_id, f.value ->> '$' as fingerprint
    from kept as k, json_each(k.fingerprints) as f
),
members_kept as (
    select distinct member_of as run_id, problem_id
    from raw_memberships
    where member_of in (select run_id from kept)
),
stored_by_pruned as (
    select table_name, id, problem_id, stage_fingerprint
    from raw_rows
    where run_id in (select run_id from pruned)
),
-- as a run's views have it: of its stages and its problems, or of no problem
shared as (
    select p.id
    from stored_by_pruned as p
    join stages_kept as s on s.fingerprint = p.stage_fingerprint
    left join members_kept as m on m.run_id = s.run_id and m.problem_id = p.problem_id
    where
        p.table_name not in ('runs', 'memberships', 'invocations', 'forecasts')
        and (p.problem_id is null or m.problem_id is not null)
    union
    select id from stored_by_pruned where id in (select problem_id from members_kept)
),
needed as (
    select id from shared
    union
    select r.to_id
    from row_references as r
    anti join stored_by_pruned as p on p.id = r.id
    union
    select r.to_id from needed as n join row_references as r on r.id = n.id
)
select table_name, id
from stored_by_pruned
where id not in (select id from needed)
