-- grain: one row per stage and reason
select
    stage,
    reason,
    count(*) as num_records,
    count(distinct problem_id) as num_problems,
    min(detail) as sample_detail
from stg_rejections
group by stage, reason
order by num_records desc, stage, reason
