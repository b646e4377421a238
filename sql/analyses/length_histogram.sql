-- grain: one row per kind of chain and power of two of its length
-- asks: How long are the chains?
with chains as (
    select kind, num_tokens, pow(2, floor(log2(greatest(num_tokens, 1))))::bigint as tokens_from
    from stg_rationales
    where kind <> 'compressed' or chosen
)
select
    kind,
    tokens_from,
    tokens_from * 2 - 1 as tokens_to,
    count(*) as num_chains,
    round(count(*) / sum(count(*)) over (partition by kind), 4) as share
from chains
group by kind, tokens_from
order by list_position(['long', 'rewritten', 'compressed'], kind), tokens_from
