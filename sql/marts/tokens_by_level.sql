-- grain: one row per level and kind of chain; of compressed chains only the kept round
with levels as (
    select problem_id, level from stg_difficulties
),
chains as (
    select
        coalesce(r.level, l.level, 'ungraded') as level,
        r.kind,
        r.problem_id,
        r.num_tokens,
        r.verdict = 'correct' as is_correct,
        r.finish_reason = 'length' as is_cut_off
    from stg_rationales as r
    left join levels as l using (problem_id)
    where r.kind <> 'compressed' or r.chosen
),
final as (
    select
        level,
        kind,
        count(distinct problem_id) as num_problems,
        count(*) as num_rationales,
        round(avg(num_tokens), 1) as mean_tokens,
        median(num_tokens) as median_tokens,
        max(num_tokens) as max_tokens,
        round(avg(is_correct::int), 4) as share_correct,
        count(*) filter (is_cut_off) as num_cut_off
    from chains
    group by level, kind
)
select *
from final
order by
    list_position(['easy', 'medium', 'hard', 'ungraded'], level),
    list_position(['long', 'rewritten', 'compressed'], kind)
