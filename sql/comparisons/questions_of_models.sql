-- grain: one row per question, benchmark, settings, prompt and model of getvariable('models'), a JSON list of ids
select
    model_id, benchmark, settings, compress, problem_id, family,
    num_samples, num_correct, mean_tokens, num_cut_off, mean_seconds
from evaluated_questions
where model_id in (select unnest(from_json(getvariable('models'), '["varchar"]')))
order by benchmark, settings, compress, model_id, problem_id
