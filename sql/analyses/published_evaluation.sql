-- grain: one row per evaluated model (the base, the student), benchmark and use of <compress>
select
    role, model_id, benchmark, compress, num_problems, num_answers,
    accuracy, mean_tokens, share_truncated
from evaluation_summary
where role in ('base', 'trained')
