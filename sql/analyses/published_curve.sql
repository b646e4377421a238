-- grain: one row per model and tenth of its steps: the base, step 1, ten points, each held-out loss
select model_id, step, num_steps, share_done, loss, held_out_loss, learning_rate, tokens
from training_curve
where
    step <= 1
    or floor(10 * step / num_steps) > floor(10 * (step - 1) / num_steps)
    or held_out_loss is not null
order by model_id, step
