-- grain: one row per reason
-- asks: What was removed before the first request, and why?
select
    reason,
    count(*) as num_records,
    min(detail) as sample_detail,
    min(record_id) as sample_record
from stg_rejections
where stage = 'ingest'
group by reason
order by num_records desc, reason
