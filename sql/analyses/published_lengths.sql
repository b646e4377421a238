-- grain: one row per condition and power of two of an example's length
with bins as (
    select condition, pow(2, floor(log2(greatest(num_tokens, 1))))::bigint as tokens_from
    from stg_examples
),
counted as (
    select condition, tokens_from, count(*) as num_examples
    from bins
    group by condition, tokens_from
)
select
    condition,
    tokens_from,
    tokens_from * 2 - 1 as tokens_to,
    num_examples,
    greatest(1, round(30 * num_examples / max(num_examples) over ()))::int as bar
from counted
order by condition desc, tokens_from
