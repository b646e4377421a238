-- grain: one row per evaluated model (the base, the student), benchmark, use of <compress> and settings
select
    role, model_id, benchmark, compress, num_problems, num_answers,
    accuracy, mean_tokens, share_cut_off, settings
from evaluation_summary
where role in ('base', 'trained')
