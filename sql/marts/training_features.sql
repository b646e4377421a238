-- grain: one row per student that the corpus has trained: what was known of its training set before
-- Left out are students whose examples are no longer those that they learnt from.
select
    s.model_id, s.recipe, s.base, s.created_at,
    t.* exclude (examples_fingerprint),
    p.ppl_examples, p.ppl_rationales,
    try_cast(json_extract_string(s.settings, '$.epochs') as bigint) as epochs,
    s.num_steps, s.train_tokens, s.settings
from stg_students as s
join stg_training_sets as t
    on t.examples_fingerprint = s.examples_fingerprint and t.data_fingerprint = s.data_fingerprint
left join stg_example_perplexities as p
    on p.examples_fingerprint = s.examples_fingerprint and p.student = s.base
order by s.created_at, s.model_id
