-- grain: one row per table and fingerprint of a stage: what a row of it cost on the average, of those that can be read
select
    table_name, stage_fingerprint,
    avg(num_requests) as requests_each,
    avg(prompt_tokens + completion_tokens) as tokens_each
from raw_rows
where num_requests is not null
group by table_name, stage_fingerprint
order by table_name, stage_fingerprint
