-- grain: one row per tenth of the scored rationales, in order of Rationale Difficulty
-- asks: Is Rationale Difficulty only length in disguise?
with scored as (
    select s.rd, r.num_tokens, r.kind, s.ppl_rationale, ntile(10) over (order by s.rd, s.rationale_id) as tenth
    from stg_scores as s
    join stg_rationales as r using (rationale_id)
    where isfinite(s.rd)
)
select
    tenth,
    count(*) as num_rationales,
    round(min(rd), 4) as rd_from,
    round(max(rd), 4) as rd_to,
    round(avg(num_tokens), 1) as mean_tokens,
    round(avg(ppl_rationale), 4) as mean_perplexity,
    round(avg((kind = 'compressed')::int), 4) as share_compressed,
    -- over all tenths: the same number in every row
    round((select corr(rd, num_tokens) from scored), 4) as correlation_with_length
from scored
group by tenth
order by tenth
