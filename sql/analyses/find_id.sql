-- grain: one row per stored row whose id starts with getvariable('id')
select table_name, id, problem_id, run_id
from stg_stored_ids
where starts_with(id, getvariable('id'))
order by table_name, id
limit 100
