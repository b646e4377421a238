-- grain: one row per condition
with chains as (
    select
        r.rationale_id,
        coalesce(grand.num_tokens, parent.num_tokens, r.num_tokens) as original_tokens
    from stg_rationales as r
    left join stg_rationales as parent on parent.rationale_id = r.parent_id
    left join stg_rationales as grand on grand.rationale_id = parent.parent_id
)
select
    e.condition,
    count(*) as num_examples,
    round(avg(e.num_tokens))::bigint as mean_tokens,
    round(avg(c.original_tokens))::bigint as mean_original
from stg_examples as e
join chains as c using (rationale_id)
group by e.condition
order by e.condition desc
