-- grain: one row: training examples made under the selected run's settings, of the run where it is stored
-- Prompts are counted in characters: their tokens are nowhere.
with examples as (
    select problem_id, num_tokens, length(prompt) as num_characters
    from raw_examples
    where stage_fingerprint = fingerprint_of('mix')
),
of_run as (
    select num_tokens, num_characters
    from examples
    where
        problem_id in (select problem_id from stg_memberships)
        or not exists (from stg_memberships)
)
select
    count(*) as num_examples,
    avg(num_tokens) as completion_tokens,
    avg(num_characters) as prompt_characters
from of_run
