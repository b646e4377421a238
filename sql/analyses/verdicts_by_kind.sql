-- grain: one row per kind of chain, model and verdict
-- asks: How often is the answer right, wrong, absent or cut off?
select
    kind,
    model,
    verdict,
    count(*) as num_chains,
    round(count(*) / sum(count(*)) over (partition by kind, model), 4) as share,
    round(avg(num_tokens), 1) as mean_tokens
from stg_rationales
group by kind, model, verdict
order by
    list_position(['long', 'rewritten', 'compressed'], kind), model,
    list_position(['correct', 'wrong', 'no_answer', 'truncated', 'unverifiable'], verdict)
