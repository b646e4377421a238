-- grain: one row per condition and filter that decided, of the scored rationales
-- asks: How do kept rationales differ from dropped ones, by every scorer and by length alone?
select
    s.condition,
    s.filter,
    count(*) as num_rationales,
    round(avg(c.rd) filter (isfinite(c.rd)), 4) as mean_rd,
    round(avg(c.ifd) filter (isfinite(c.ifd)), 4) as mean_ifd,
    round(avg(c.grape) filter (isfinite(c.grape)), 4) as mean_grape,
    round(avg(c.rsr) filter (isfinite(c.rsr)), 4) as mean_rsr,
    round(avg(c.naturalness) filter (isfinite(c.naturalness)), 4) as mean_naturalness,
    round(avg(c.num_tokens), 1) as mean_tokens
from stg_selections as s
join stg_scores as c using (rationale_id)
group by s.condition, s.filter
order by s.condition desc, list_position(['accuracy', 'diversity', 'difficulty', 'kept'], s.filter)
