-- grain: one row per table that has rows, all runs together
-- num_tokens: how long its texts are; paid_tokens: sent and generated to make its rows
with lengths as (
    select 'rationales' as table_name, sum(num_tokens) as num_tokens from raw_rationales
    union all
    select 'examples', sum(num_tokens) from raw_examples
    union all
    select 'evaluations', sum(num_tokens) from raw_evaluations
)
select
    r.table_name,
    count(*) as num_rows,
    coalesce(any_value(l.num_tokens), 0)::bigint as num_tokens,
    coalesce(sum(r.prompt_tokens + r.completion_tokens), 0)::bigint as paid_tokens
from raw_rows as r
left join lengths as l on l.table_name = r.table_name
group by r.table_name
order by r.table_name
