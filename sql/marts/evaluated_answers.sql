-- grain: one row per evaluated model, benchmark, settings, prompt, question and sample, of any run
select
    model_id, role, base, benchmark, settings, compress, problem_id, family, level, sample,
    correct, verdict, extracted_answer, num_tokens, is_cut_off, latency_s,
    evaluation_id, run_id, created_at
from stg_evaluated_answers
order by model_id, benchmark, settings, compress, problem_id, sample
