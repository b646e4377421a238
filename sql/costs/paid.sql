-- grain: one row per stage fingerprint of the selected run that asks a model, by whichever run the rows were made
-- Records that were refused without a request count: so will those to come. The slopes say what a
-- character more of the question adds: 0 where few records or equal questions cannot tell.
with records as (
    select
        stage_fingerprint, input_id,
        any_value(problem_id) as problem_id,
        coalesce(sum(num_requests), 0) as num_requests,
        coalesce(sum(prompt_tokens), 0) as prompt_tokens,
        coalesce(sum(completion_tokens), 0) as completion_tokens
    from raw_rows
    where stage_fingerprint in (select unnest(map_values(getvariable('fingerprints'))))
    group by stage_fingerprint, input_id
),
questions as (
    select problem_id, min(length(question)) as num_characters
    from raw_problems
    group by problem_id
),
sums as (
    select
        r.stage_fingerprint,
        count(*) as num_inputs,
        sum(r.num_requests) as num_requests,
        sum(r.prompt_tokens) as prompt_tokens,
        sum(r.completion_tokens) as completion_tokens,
        avg(q.num_characters) as question_characters,
        count(q.num_characters) >= 20 as is_enough,
        regr_slope(r.num_requests, q.num_characters) as requests_slope,
        regr_slope(r.prompt_tokens, q.num_characters) as prompt_slope,
        regr_slope(r.completion_tokens, q.num_characters) as completion_slope
    from records as r
    left join questions as q using (problem_id)
    group by r.stage_fingerprint
    having sum(r.num_requests) > 0 or sum(r.completion_tokens) > 0
)
select
    stage_fingerprint, num_inputs, num_requests, prompt_tokens, completion_tokens, question_characters,
    if(is_enough and isfinite(requests_slope), requests_slope, 0) as requests_slope,
    if(is_enough and isfinite(prompt_slope), prompt_slope, 0) as prompt_slope,
    if(is_enough and isfinite(completion_slope), completion_slope, 0) as completion_slope
from sums
order by stage_fingerprint
