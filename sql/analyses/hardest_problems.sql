-- grain: one row per problem that no candidate solved, or few
-- asks: Which problems should a person look at?
select
    p.problem_id,
    d.level,
    round(avg((r.verdict = 'correct')::int), 4) as share_correct,
    count(*) as num_candidates,
    round(avg(r.num_tokens), 1) as mean_tokens,
    mode(r.extracted_answer) as most_frequent_answer,
    any_value(p.answer) as gold_answer,
    left(replace(any_value(p.question), chr(10), ' '), 120) as question
from stg_rationales as r
join stg_problems as p using (problem_id)
left join stg_difficulties as d using (problem_id)
where r.kind = 'long' and p.split = 'train'
group by p.problem_id, d.level
having share_correct < 1
order by share_correct, mean_tokens desc, p.problem_id
limit 100
