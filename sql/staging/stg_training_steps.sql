-- grain: one row per step of any student trained or in training, whichever run trains it
with attempts as (
    select model_id, attempt, min(step) as first_step
    from raw_training_steps
    where step > 0
    group by model_id, attempt
)
select s.*, r.recipe
from raw_training_steps as s
left join raw_runs as r using (run_id)
where not exists (
    -- a later attempt went on from before this step, so it took the step again or will
    from attempts as a
    where a.model_id = s.model_id and a.attempt > s.attempt and a.first_step <= s.step
)
qualify s.attempt = max(s.attempt) over (partition by s.model_id, s.step)
