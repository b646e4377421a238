-- grain: one row per selected run: what it came to
-- Of compressed chains the kept round counts. share_saved: over the chains that were compressed, by those they were
-- made from, rewrites among them.
with chains as (
    select rationale_id, parent_id, kind, num_tokens, verdict
    from stg_rationales
    where kind <> 'compressed' or chosen
),
shortened as (
    select sum(c.num_tokens) as tokens_after, sum(p.num_tokens) as tokens_before
    from chains as c
    join stg_rationales as p on p.rationale_id = c.parent_id
    where c.kind = 'compressed'
),
totals as (
    select
        count(*) filter (kind = 'long') as num_long,
        count(*) filter (kind = 'long' and verdict = 'correct') as num_correct,
        round(avg(num_tokens) filter (kind = 'long'), 1) as mean_long,
        round(avg(num_tokens) filter (kind = 'rewritten'), 1) as mean_rewritten,
        round(avg(num_tokens) filter (kind = 'compressed'), 1) as mean_compressed
    from chains
),
selected as (
    select count(*) as num_considered, count(*) filter (kept) as num_kept
    from stg_selections
),
examples as (
    select count(*) as num_examples, round(avg(num_tokens), 1) as mean_example_tokens
    from stg_examples
)
select
    (select count(distinct problem_id) from stg_problems where split = 'train') as num_problems,
    t.*,
    round(t.num_correct / nullif(t.num_long, 0), 4) as share_correct,
    round(1 - h.tokens_after / nullif(h.tokens_before, 0), 4) as share_saved,
    s.*,
    round(s.num_kept / nullif(s.num_considered, 0), 4) as share_kept,
    e.*,
    (select count(*) from stg_rejections) as num_rejected
from totals as t, shortened as h, selected as s, examples as e
