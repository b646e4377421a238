-- grain: one row per kept selection or example whose chain was cut off, or whose thought has no end
with used as (
    select 'selections' as table_name, selection_id as id, rationale_id
    from stg_selections
    where kept
    union all
    select 'examples', example_id, rationale_id from stg_examples
)
select u.table_name, u.id, u.rationale_id, r.incomplete
from used as u
join stg_rationales as r using (rationale_id)
where r.incomplete is not null
order by u.table_name, u.id
