-- grain: one row per run, the one seen last first
-- A run is seen when it is stored and whenever its command is given. `evaluates` are the runs that trained the students
-- it asked; `num_missing` problems it took in have no membership: a part was lost, and no rerun came since.
with seen as (
    select run_id, started_at as seen_at from raw_invocations
    union all
    select run_id, created_at from raw_runs
),
stages as (
    select r.run_id, f.value ->> '$' as fingerprint
    from raw_runs as r, json_each(r.fingerprints) as f
),
asked as (
    select s.run_id, list(distinct m.run_id) as evaluates
    from stages as s
    join raw_evaluations as e on e.stage_fingerprint = s.fingerprint
    join raw_models as m on m.model_id = e.model_id
    group by s.run_id
),
members as (
    select member_of as run_id, count(distinct problem_id) as num_members
    from raw_memberships
    group by member_of
)
select
    r.run_id, r.recipe, max(s.seen_at) as seen_at,
    coalesce(any_value(a.evaluates), []) as evaluates,
    greatest(0, r.num_problems - coalesce(any_value(m.num_members), 0)) as num_missing
from raw_runs as r
join seen as s on s.run_id = r.run_id
left join asked as a on a.run_id = r.run_id
left join members as m on m.run_id = r.run_id
group by r.run_id, r.recipe, r.num_problems
order by seen_at desc, r.run_id
