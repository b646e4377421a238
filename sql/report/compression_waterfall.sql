-- grain: one row per step of compression: what went in, each round that was kept, what came out
-- Tokens of all chains that were asked to be compressed; one that no round shortened stays as it was. Rounds after the
-- kept one are tried and given up: they change nothing here.
with rounds as (
    select parent_id, round, num_tokens, chosen
    from stg_rationales
    where kind = 'compressed'
),
chains as (
    select
        r.parent_id,
        any_value(p.num_tokens) as num_tokens,
        coalesce(max(r.round) filter (r.chosen), 0) as kept_round
    from rounds as r
    join stg_rationales as p on p.rationale_id = r.parent_id
    group by r.parent_id
),
changes as (
    select
        r.round,
        c.kept_round,
        r.num_tokens - lag(r.num_tokens, 1, c.num_tokens) over (partition by r.parent_id order by r.round) as change
    from rounds as r
    join chains as c using (parent_id)
),
steps as (
    select 0 as position, 'before' as step, count(*) as num_chains, sum(num_tokens)::bigint as change
    from chains
    union all
    select round, 'round ' || round, count(*), sum(change)::bigint
    from changes
    where round <= kept_round
    group by round
),
levels as (
    select *, sum(change) over (order by position)::bigint as tokens_left
    from steps
    where num_chains > 0
)
select
    position,
    step,
    num_chains,
    change,
    tokens_left,
    round(tokens_left / nullif(first_value(change) over (order by position), 0), 4) as share_left
from levels
order by position
