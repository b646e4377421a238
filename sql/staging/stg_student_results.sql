-- grain: one row per trained student, benchmark, settings of the evaluation and use of <compress>, of all runs
-- Answers are averaged by question first.
with questions as (
    select
        model_id, benchmark, settings, compress, problem_id,
        count(*) as num_answers,
        avg(correct::int) as accuracy,
        avg(num_tokens) as tokens,
        avg(is_cut_off::int) as share_cut_off,
        min(created_at) as first_answer_at
    from stg_evaluated_answers
    where model_id in (select model_id from raw_models)
    group by all
)
select
    model_id, benchmark, settings, compress,
    count(*) as num_questions,
    sum(num_answers)::bigint as num_answers,
    avg(accuracy) as accuracy,
    avg(tokens) as tokens,
    avg(share_cut_off) as share_cut_off,
    min(first_answer_at) as first_answer_at
from questions
group by all
