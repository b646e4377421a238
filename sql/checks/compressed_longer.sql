-- grain: one row per kept compression round that is longer than the chain it came from
select
    r.rationale_id,
    r.parent_id,
    r.round,
    r.num_tokens,
    p.num_tokens as num_parent_tokens
from stg_rationales as r
join stg_rationales as p on p.rationale_id = r.parent_id
where r.kind = 'compressed' and r.chosen and r.num_tokens > p.num_tokens
order by r.rationale_id
