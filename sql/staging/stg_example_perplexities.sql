-- grain: one row per training set and student that has read of it before training, by any run
-- ppl_examples: of the examples that the stage 'measure' read, whole; ppl_rationales: of the chains behind all of
-- them as the stage 'score' had them, without their answers, null where one has no score. exp of the mean a token.
with examples as (
    select stage_fingerprint as examples_fingerprint, example_id, rationale_id
    from raw_examples
),
measured as (
    select
        e.examples_fingerprint, p.student,
        exp(sum(ln(p.perplexity) * p.num_tokens) / nullif(sum(p.num_tokens), 0)) as ppl_examples
    from raw_perplexities as p
    join examples as e using (example_id)
    group by e.examples_fingerprint, p.student, p.stage_fingerprint
    qualify
        row_number() over (partition by e.examples_fingerprint, p.student order by max(p.created_at) desc) = 1
),
sizes as (
    select examples_fingerprint, count(*) as num_examples
    from examples
    group by examples_fingerprint
),
scored as (
    select
        e.examples_fingerprint, s.student, count(distinct e.example_id) as num_scored,
        exp(sum(ln(s.ppl_rationale) * s.num_tokens) / nullif(sum(s.num_tokens), 0)) as ppl_rationales
    from raw_scores as s
    join examples as e using (rationale_id)
    group by e.examples_fingerprint, s.student, s.stage_fingerprint
    qualify
        row_number() over (partition by e.examples_fingerprint, s.student order by max(s.created_at) desc) = 1
),
whole as (
    select s.examples_fingerprint, s.student, s.ppl_rationales
    from scored as s
    join sizes as n on n.examples_fingerprint = s.examples_fingerprint and n.num_examples = s.num_scored
)
select
    coalesce(m.examples_fingerprint, w.examples_fingerprint) as examples_fingerprint,
    coalesce(m.student, w.student) as student,
    m.ppl_examples,
    w.ppl_rationales
from measured as m
full join whole as w on w.examples_fingerprint = m.examples_fingerprint and w.student = m.student
