-- grain: one row per question that model getvariable('second') answers better or worse than getvariable('first')
-- Of one benchmark and settings, each model with its prompt: the clearest getvariable('num_examples') of each way.
-- Of several samples the one shown is correct for the model that has more of them correct, and not for the other.
with answers as (
    select
        problem_id, sample, num_tokens, correct, is_cut_off, extracted_answer,
        model_id = getvariable('second') and compress = getvariable('second_compress') as is_second
    from evaluated_answers
    where
        benchmark = getvariable('benchmark')
        and settings = getvariable('settings')
        and (
            (model_id = getvariable('first') and compress = getvariable('first_compress'))
            or (model_id = getvariable('second') and compress = getvariable('second_compress'))
        )
),
sides as (
    select
        problem_id, is_second,
        count(*) as num_samples,
        count(*) filter (correct) as num_correct,
        num_correct / num_samples as accuracy,
        min_by(extracted_answer, sample) filter (correct) as right_answer,
        min_by(
            coalesce(extracted_answer, if(is_cut_off, '(cut off)', '(no answer)')), sample
        ) filter (not correct) as wrong_answer,
        avg(num_tokens) as mean_tokens
    from answers
    group by problem_id, is_second
),
pairs as (
    select
        f.problem_id,
        s.accuracy > f.accuracy as won,
        f.num_correct as first_correct, f.num_samples as first_samples,
        s.num_correct as second_correct, s.num_samples as second_samples,
        if(s.accuracy > f.accuracy, f.wrong_answer, f.right_answer) as first_answer,
        if(s.accuracy > f.accuracy, s.right_answer, s.wrong_answer) as second_answer,
        f.mean_tokens as first_tokens, s.mean_tokens as second_tokens,
        abs(s.accuracy - f.accuracy) as flip
    from sides as f
    join sides as s on f.problem_id = s.problem_id and not f.is_second and s.is_second
    where s.accuracy != f.accuracy
),
problems as (
    select problem_id, min(question) as question, min(answer) as answer
    from raw_problems
    group by problem_id
)
select
    p.won, p.problem_id, q.question, q.answer,
    p.first_correct, p.first_samples, p.first_answer, p.first_tokens,
    p.second_correct, p.second_samples, p.second_answer, p.second_tokens
from pairs as p
left join problems as q using (problem_id)
qualify row_number() over (partition by p.won order by p.flip desc, p.problem_id) <= getvariable('num_examples')
order by p.won desc, p.flip desc, p.problem_id
