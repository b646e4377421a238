-- grain: one row per model and step, as its last attempt took it; every model of the corpus
select
    recipe,
    model_id,
    base,
    step,
    num_steps,
    round(step / num_steps, 4) as share_done,
    round(epoch, 3) as epoch,
    round(loss, 5) as loss,
    round(held_out_loss, 5) as held_out_loss,
    learning_rate,
    round(grad_norm, 4) as grad_norm,
    tokens,
    round(tokens_per_s, 1) as tokens_per_s,
    peak_memory_bytes,
    round(seconds, 1) as seconds,
    attempt
from stg_training_steps
order by recipe, model_id, step
