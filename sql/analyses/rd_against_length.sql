-- grain: one row per kind of scored rationale
-- asks: Is Rationale Difficulty only length in disguise?
with scored as (
    select r.kind, s.rd, r.num_tokens
    from stg_scores as s
    join stg_rationales as r using (rationale_id)
    where isfinite(s.rd)
),
ranked as (
    -- equal values share the middle of their ranks, as Spearman's correlation wants it
    select
        kind,
        rd,
        num_tokens,
        rank() over (partition by kind order by rd)
            + (count(*) over (partition by kind, rd) - 1) / 2 as rd_rank,
        rank() over (partition by kind order by num_tokens)
            + (count(*) over (partition by kind, num_tokens) - 1) / 2 as length_rank,
        ceil(count(*) over (partition by kind) / 10) as a_tenth,
        count(*) over (partition by kind) as num_in_kind
    from scored
)
select
    kind,
    count(*) as num_rationales,
    case when count(*) > 1 then round(corr(rd_rank, length_rank), 4) end as rank_correlation,
    round(median(rd), 4) as median_rd,
    round(avg(num_tokens), 1) as mean_tokens,
    round(avg(num_tokens) filter (rd_rank <= a_tenth), 1) as mean_tokens_lowest_tenth,
    round(avg(num_tokens) filter (rd_rank > num_in_kind - a_tenth), 1) as mean_tokens_highest_tenth
from ranked
group by kind
order by list_position(['long', 'rewritten', 'compressed'], kind)
