-- grain: one row per scored rationale and scorer that has a value for it
-- Length is there always, for num_tokens is; a query that wants one scorer reads its column alone.
with columns as (
    select rationale_id, problem_id, student, 'rd' as scorer, rd as value from stg_scores
    union all
    select rationale_id, problem_id, student, 'ifd', ifd from stg_scores
    union all
    select rationale_id, problem_id, student, 'grape', grape from stg_scores
    union all
    select rationale_id, problem_id, student, 'rsr', rsr from stg_scores
    union all
    select rationale_id, problem_id, student, 'naturalness', naturalness from stg_scores
    union all
    select rationale_id, problem_id, student, 'length', num_tokens from stg_scores
),
others as (
    select
        rationale_id, problem_id, student,
        unnest(map_keys(others)) as scorer, unnest(map_values(others)) as value
    from stg_scores
    where others is not null
)
from columns
where value is not null
union all
from others
where scorer <> 'length'
