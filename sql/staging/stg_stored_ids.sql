-- grain: one row per stored row of any table and any run
select table_name, id, problem_id, run_id
from raw_rows
