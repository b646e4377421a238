-- grain: one row per kind of chain, model and prompt, of the published chains and those they were made from
with published as (
    select distinct rationale_id
    from stg_examples
),
parents as (
    select parent_id as rationale_id
    from stg_rationales
    where rationale_id in (from published) and parent_id is not null
),
grandparents as (
    select parent_id as rationale_id
    from stg_rationales
    where rationale_id in (from parents) and parent_id is not null
),
chains as (
    select rationale_id, rationale_id in (from published) as is_published
    from (from published union from parents union from grandparents)
)
select
    r.kind,
    r.model,
    case r.finish_reason when 'imported' then 'imported' when 'original' then 'kept' else 'written' end as origin,
    r.prompt_sha,
    count(*) filter (c.is_published) as num_published,
    count(*) filter (not c.is_published) as num_behind
from chains as c
join stg_rationales as r using (rationale_id)
group by r.kind, r.model, origin, r.prompt_sha
order by list_position(['long', 'rewritten', 'compressed'], r.kind), r.model, origin, r.prompt_sha
