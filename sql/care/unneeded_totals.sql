-- grain: one row per table that loses rows when the runs of getvariable('pruned') go
select
    u.table_name,
    count(*) as num_rows,
    coalesce(sum(r.num_requests), 0)::bigint as num_requests,
    coalesce(sum(r.prompt_tokens + r.completion_tokens), 0)::bigint as num_tokens,
    coalesce(sum(m.device_hours), 0)::double as device_hours
from unneeded_rows as u
join raw_rows as r on r.table_name = u.table_name and r.id = u.id
left join raw_models as m on u.table_name = 'models' and m.model_id = u.id
group by u.table_name
order by u.table_name
