-- grain: one row per student trained by the selected run, the latest first
select
    model_id,
    base,
    num_examples,
    num_too_long,
    num_steps,
    train_tokens,
    round(train_loss, 4) as train_loss,
    round(train_seconds, 1) as train_seconds,
    num_held_out,
    round(held_out_loss, 4) as held_out_loss,
    engine,
    zero_stage,
    world_size,
    device,
    round(device_hours, 3) as device_hours,
    num_attempts,
    peak_memory_bytes,
    path
from stg_models
order by created_at desc
