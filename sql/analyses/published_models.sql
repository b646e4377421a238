-- grain: one row per student trained by the selected run, the latest first
select
    model_id, base, path, num_parameters,
    num_examples, num_too_long, num_held_out, num_steps, kept_step,
    train_tokens, learnt_tokens, tokens_too_long, tokens_held_out,
    round(train_loss, 4) as train_loss,
    round(held_out_loss, 4) as held_out_loss,
    settings, versions, engine, zero_stage, optimizer, batching,
    world_size, device,
    round(train_seconds, 1) as train_seconds,
    round(device_hours, 3) as device_hours,
    num_attempts, peak_memory_bytes, created_at
from stg_models
order by created_at desc
