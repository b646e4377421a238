-- grain: one row per student of the selected run, with what it was trained on
with examples as (
    select
        count(*) as num_chains,
        avg(num_tokens) as mean_chain_tokens,
        count(distinct problem_id) as num_problems
    from stg_examples
)
select
    m.model_id, m.num_examples, m.num_steps, m.train_tokens, m.train_loss, m.train_seconds, e.num_problems,
    e.mean_chain_tokens
from stg_models as m
cross join examples as e
order by m.model_id
