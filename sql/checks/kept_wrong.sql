-- grain: one row per kept selection or example whose rationale is not known to be correct
with used as (
    select 'selections' as table_name, selection_id as id, rationale_id
    from stg_selections
    where kept
    union all
    select 'examples', example_id, rationale_id from stg_examples
)
select u.table_name, u.id, u.rationale_id, r.verdict
from used as u
left join stg_rationales as r using (rationale_id)
where r.verdict is distinct from 'correct'
order by u.table_name, u.id
