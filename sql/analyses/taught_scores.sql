-- grain: one row per student of the selected run, with how hard what it was taught is to read
with taught as (
    select
        avg(s.rd) as mean_rd,
        avg(e.num_tokens) as mean_tokens,
        count(*) as num_rationales,
        count(s.rd) as num_scored
    from stg_examples as e
    left join stg_scores as s using (rationale_id)
)
select
    m.model_id, m.num_examples, m.num_steps, m.train_tokens, m.train_loss, m.train_seconds, t.mean_rd, t.mean_tokens,
    t.num_rationales, t.num_scored
from stg_models as m
cross join taught as t
order by m.model_id
