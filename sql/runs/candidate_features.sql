-- grain: one row per training set that the selected run's recipe gives, if its examples are there: what is known of it
-- getvariable('base'): the student that is to be trained on it
select t.*, p.ppl_examples, p.ppl_rationales
from stg_training_sets as t
left join stg_example_perplexities as p
    on p.examples_fingerprint = t.examples_fingerprint and p.student = getvariable('base')
where t.examples_fingerprint = fingerprint_of('mix')
