-- grain: one row per row whose problem or rationale is not stored
with stored_problems as (
    select id from stg_stored_ids where table_name = 'problems'
),
stored_rationales as (
    select id from stg_stored_ids where table_name = 'rationales'
),
known_parents as (
    select id from stg_stored_ids where table_name in ('rationales', 'candidates')
),
references_made as (
    select table_name, id, problem_id as points_to, 'problem' as missing
    from stg_stored_ids
    where problem_id is not null and problem_id not in (select id from stored_problems)
    union all
    select 'rationales', rationale_id, parent_id, 'parent'
    from stg_rationales
    where parent_id is not null and parent_id not in (select id from known_parents)
    union all
    select 'scores', score_id, rationale_id, 'rationale'
    from stg_scores
    where rationale_id not in (select id from stored_rationales)
    union all
    select 'selections', selection_id, rationale_id, 'rationale'
    from stg_selections
    where rationale_id not in (select id from stored_rationales)
    union all
    select 'examples', example_id, rationale_id, 'rationale'
    from stg_examples
    where rationale_id not in (select id from stored_rationales)
)
select *
from references_made
order by table_name, id, missing
