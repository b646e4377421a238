-- grain: one row per stage fingerprint of the selected run, by whichever run the rows were made
select
    stage_fingerprint,
    count(distinct input_id) as num_inputs,
    sum(num_requests) as num_requests,
    sum(prompt_tokens) as prompt_tokens,
    sum(completion_tokens) as completion_tokens
from raw_rows
where
    (num_requests > 0 or completion_tokens > 0)
    and stage_fingerprint in (select unnest(map_values(getvariable('fingerprints'))))
group by stage_fingerprint
order by stage_fingerprint
