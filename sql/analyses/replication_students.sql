-- grain: one row per student of the selected run, with what it was trained on
-- num_easy, num_medium, num_hard: its problems, by construction as in replication_answers
with steps as (
    select problem_id, len(regexp_extract_all(question, '(?:^|\n)[0-9]+\) ')) as num_steps
    from stg_problems
    where split = 'train'
),
examples as (
    select
        count(distinct e.problem_id) as num_problems,
        count(distinct e.problem_id) filter (s.num_steps <= 2) as num_easy,
        count(distinct e.problem_id) filter (s.num_steps between 3 and 5) as num_medium,
        count(distinct e.problem_id) filter (s.num_steps > 5) as num_hard
    from stg_examples as e
    left join steps as s using (problem_id)
)
select
    m.model_id, m.num_examples, m.num_steps, m.train_tokens, m.train_loss, m.train_seconds, e.num_problems, e.num_easy,
    e.num_medium, e.num_hard
from stg_models as m
cross join examples as e
order by m.model_id
