-- grain: one row per model and sixtieth of its steps, of the run's students and the latest others
-- is_own: the selected run trained it. loss is the mean over the steps of the sixtieth, held_out_loss the last in it.
with models as (
    select
        model_id,
        model_id in (select model_id from stg_models) as is_own,
        max(created_at) as last_at
    from stg_training_steps
    group by model_id
),
shown as (
    from models
    order by is_own desc, last_at desc, model_id
    limit coalesce(getvariable('most_models'), 6)
)
select
    t.recipe,
    t.model_id,
    m.is_own,
    max(t.step) as step,
    any_value(t.num_steps) as num_steps,
    max(t.share_done) as share_done,
    round(avg(t.loss), 5) as loss,
    arg_max(t.held_out_loss, t.step) filter (t.held_out_loss is not null) as held_out_loss,
    max(t.tokens) as tokens
from training_curve as t
join shown as m using (model_id)
group by t.recipe, t.model_id, m.is_own, m.last_at, ceil(60 * t.step / greatest(t.num_steps, 1))
order by m.is_own desc, m.last_at desc, t.model_id, step
