-- grain: one row per problem whose candidates agree on an answer that is not the gold one
-- asks: Which gold answers may be wrong?
with answers as (
    select problem_id, extracted_answer, count(*) as num_votes
    from stg_rationales
    where kind = 'long' and verdict = 'wrong' and extracted_answer is not null
    group by problem_id, extracted_answer
),
totals as (
    select problem_id, count(*) as num_candidates
    from stg_rationales
    where kind = 'long'
    group by problem_id
)
select
    a.problem_id,
    a.extracted_answer as agreed_answer,
    p.answer as gold_answer,
    a.num_votes,
    t.num_candidates,
    left(replace(p.question, chr(10), ' '), 120) as question
from answers as a
join totals as t using (problem_id)
join stg_problems as p using (problem_id)
where a.num_votes >= 2 and a.num_votes > t.num_candidates / 2 and p.split = 'train'
order by a.num_votes / t.num_candidates desc, a.num_votes desc, a.problem_id
limit 100
