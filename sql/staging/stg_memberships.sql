-- grain: one row per problem and split of the selected run
select *
from raw_memberships
where member_of = getvariable('run_id')
