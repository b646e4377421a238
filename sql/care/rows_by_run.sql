-- grain: one row per run and table: the rows it stored first
select
    run_id, table_name,
    count(*) as num_rows,
    coalesce(sum(prompt_tokens + completion_tokens), 0)::bigint as paid_tokens,
    coalesce(sum(num_requests), 0)::bigint as num_requests
from raw_rows
group by run_id, table_name
order by run_id, table_name
