-- grain: one row per kind of fault that a run can have and go on, those it had
with faults as (
    select 1 as position, 'invocations_not_done' as fault, count(*) as num_cases
    from stg_invocations
    where status <> 'done'
    union all
    select 2, 'requests_repeated', coalesce(sum(num_repeated), 0)::bigint from stg_invocations
    union all
    select 3, 'rationales_cut_off', count(*) from stg_rationales where finish_reason = 'length'
    union all
    select 4, 'answers_cut_off', count(*) from stg_evaluations where finish_reason = 'length'
    union all
    select 5, 'verdict_disagreements', count(*) from verdict_disagreements
    union all
    select 6, 'examples_too_long', coalesce(sum(num_too_long), 0)::bigint from stg_models
    union all
    select 7, 'training_attempts_lost', coalesce(sum(num_attempts - 1), 0)::bigint from stg_models
)
select position, fault, num_cases
from faults
where num_cases > 0
order by position
