-- grain: one row per reason
-- asks: What was removed before the first request, why, and what was it a repetition of?
select
    reason,
    count(*) as num_records,
    min(detail) as sample_detail,
    arg_min(record_id, detail) as sample_record,
    arg_min(twin, detail) as sample_twin,
    round(avg(similarity), 4) as mean_similarity
from stg_rejections
where stage = 'ingest'
group by reason
order by num_records desc, reason
