-- grain: one row per kind of chain made under the selected run's settings, by whichever run
select
    kind,
    avg(num_tokens) as num_tokens,
    avg((verdict = 'correct')::int) as share_correct,
    count(distinct problem_id) filter (verdict = 'correct')
    / count(distinct problem_id) as share_solved,
    count(distinct input_id) as num_inputs
from raw_rationales
where
    stage_fingerprint in (select unnest(map_values(getvariable('fingerprints'))))
    and (kind <> 'compressed' or chosen)
group by kind
order by kind
