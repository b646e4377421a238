-- grain: one row per evaluated student, benchmark, settings and use of <compress>, with what it was trained on
select
    f.*, r.benchmark, r.settings as evaluated_with, r.compress, r.num_questions, r.accuracy,
    r.tokens as answer_tokens
from training_features as f
join stg_student_results as r using (model_id)
order by f.model_id, r.benchmark, evaluated_with, r.compress
