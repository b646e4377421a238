-- grain: one row per condition and kind of rationale
-- asks: Which kinds of rationale win the selection?
select
    s.condition,
    r.kind,
    count(*) as num_rationales,
    count(*) filter (s.kept) as num_kept,
    round(avg(s.kept::int), 4) as share_kept,
    round(avg(s.rd) filter (isfinite(s.rd)), 4) as mean_rd,
    round(avg(r.num_tokens), 1) as mean_tokens,
    round(avg(r.num_tokens) filter (s.kept), 1) as mean_tokens_kept
from stg_selections as s
join stg_rationales as r using (rationale_id)
group by s.condition, r.kind
order by s.condition desc, share_kept desc, r.kind
