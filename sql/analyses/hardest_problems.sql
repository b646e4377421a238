-- grain: one row per problem that no candidate solved, or few
-- asks: Which problems should a person look at?
with chains as (
    select r.problem_id, r.verdict, r.num_tokens, r.extracted_answer
    from stg_rationales as r
    join stg_problems as p using (problem_id)
    where r.kind = 'long' and p.split = 'train'
),
per_problem as (
    select
        problem_id,
        round(avg((verdict = 'correct')::int), 4) as share_correct,
        count(*) as num_candidates,
        round(avg(num_tokens), 1) as mean_tokens
    from chains
    group by problem_id
    having share_correct < 1
    order by share_correct, mean_tokens desc, problem_id
    limit 100
),
given as (
    select problem_id, extracted_answer as answer, count(*) as times_given
    from chains
    where extracted_answer is not null and problem_id in (select problem_id from per_problem)
    group by problem_id, extracted_answer
),
most_frequent as (
    select distinct on (problem_id) problem_id, answer, times_given
    from given
    order by problem_id, times_given desc, answer
)
select
    o.problem_id,
    d.level,
    o.share_correct,
    o.num_candidates,
    o.mean_tokens,
    m.answer as most_frequent_answer,
    m.times_given,
    p.answer as gold_answer,
    left(replace(p.question, chr(10), ' '), 120) as question
from per_problem as o
join stg_problems as p on p.problem_id = o.problem_id and p.split = 'train'
left join stg_difficulties as d on d.problem_id = o.problem_id
left join most_frequent as m on m.problem_id = o.problem_id
order by o.share_correct, o.mean_tokens desc, o.problem_id
