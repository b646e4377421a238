-- grain: one row per evaluated model, benchmark, settings, prompt and question, of any run
-- majority: whether the answer that most samples give is correct. All correct answers are one, however written; an
-- answer that was not found has no vote; of answers that tie for the lead each is as likely.
with votes as (
    select
        model_id, benchmark, settings, compress, problem_id, correct,
        count(*) as num_votes
    from evaluated_answers
    where correct or extracted_answer is not null
    group by
        model_id, benchmark, settings, compress, problem_id, correct, case when not correct then extracted_answer end
),
leaders as (
    from votes
    select *
    qualify num_votes = max(num_votes) over (partition by model_id, benchmark, settings, compress, problem_id)
),
majorities as (
    select model_id, benchmark, settings, compress, problem_id, avg(correct::int) as majority
    from leaders
    group by model_id, benchmark, settings, compress, problem_id
),
questions as (
    select
        model_id, min(role) as role, min(base) as base, benchmark, settings, compress, problem_id,
        min(family) as family,
        min(level) as level,
        count(*) as num_samples,
        count(*) filter (correct) as num_correct,
        avg(num_tokens) as mean_tokens,
        count(*) filter (is_cut_off) as num_cut_off,
        avg(latency_s) as mean_seconds
    from evaluated_answers
    group by model_id, benchmark, settings, compress, problem_id
)
select q.*, coalesce(m.majority, 0) as majority
from questions as q
left join majorities as m using (model_id, benchmark, settings, compress, problem_id)
order by model_id, benchmark, settings, compress, problem_id
