-- grain: one row per problem, membership and candidate of any run: its id
select id
from stg_stored_ids
where table_name in ('problems', 'memberships', 'candidates')
