-- grain: one row per problem and split that the selected run would have, as far as stored runs of the same files know
-- Files are read in one order, so a smaller limit has the first of a larger one's problems. Of each
-- split the run with the most is looked at, getvariable('train_limit') and getvariable('eval_limit') of it;
-- is_all: it had read its files to their end.
with members as (
    select
        r.run_id, m.split, count(*) as num_members,
        case m.split when 'train' then '$.limit' else '$.evaluate.limit' end as setting,
        any_value(r.settings) as settings
    from raw_runs as r
    join raw_memberships as m on m.member_of = r.run_id
    where r.fingerprints ->> 'ingest' = fingerprint_of('ingest')
    group by r.run_id, m.split
    having count(*) = max(m.position) + 1  -- none was lost
),
widest as (
    select
        split,
        arg_max(run_id, num_members) as run_id,
        max(
            json_type(settings, setting) = 'NULL'
            or num_members < (settings ->> setting)::bigint
        ) as is_all
    from members
    group by split
)
select
    m.problem_id, m.split, m.position, m.position // getvariable('shard_size') as shard,
    m.benchmark, m.family, w.is_all
from raw_memberships as m
join widest as w on w.run_id = m.member_of and w.split = m.split
where
    m.position < coalesce(
        case m.split when 'train' then getvariable('train_limit') else getvariable('eval_limit') end,
        m.position + 1
    )
order by m.split, m.position
