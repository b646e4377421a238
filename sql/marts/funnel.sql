-- grain: one row per step of the pipeline, in its order
with steps as (
    select 1 as position, 'problems' as stage, problem_id from stg_problems where split = 'train'
    union all
    select 2, 'with_candidates', problem_id from stg_rationales where kind = 'long'
    union all
    select 3, 'answered_correctly', problem_id
    from stg_rationales
    where kind = 'long' and verdict = 'correct'
    union all
    select 4, 'graded', problem_id from stg_difficulties
    union all
    select 5, 'rewritten', problem_id from stg_rationales where kind = 'rewritten'
    union all
    select 6, 'compressed', problem_id from stg_rationales where kind = 'compressed' and chosen
    union all
    select 7, 'scored', problem_id from stg_scores
    union all
    select 8, 'kept', problem_id from stg_selections where kept
    union all
    select 9, 'examples', problem_id from stg_examples
),
names as (
    select
        unnest(range(1, 10)) as position,
        unnest([
            'problems', 'with_candidates', 'answered_correctly', 'graded', 'rewritten',
            'compressed', 'scored', 'kept', 'examples'
        ]) as stage
),
final as (
    select
        n.position,
        n.stage,
        count(distinct s.problem_id) as num_problems,
        count(s.problem_id) as num_rows
    from names as n
    left join steps as s using (position)
    group by n.position, n.stage
)
select
    position,
    stage,
    num_problems,
    num_rows,
    round(num_problems / nullif(max(num_problems) over (), 0), 4) as share_of_problems
from final
order by position
