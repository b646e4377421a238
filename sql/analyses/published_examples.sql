-- grain: one row per training example, with everything that led to it
with problems as (
    select problem_id, source, question, answer, answer_type, subject, position
    from stg_problems
    where split = 'train'
),
originals as (
    -- the candidate a chain goes back to: its parent's parent, its parent or itself
    select
        r.rationale_id,
        coalesce(grand.num_tokens, parent.num_tokens, r.num_tokens) as original_tokens,
        coalesce(grand.model, parent.model, r.model) as teacher
    from stg_rationales as r
    left join stg_rationales as parent on parent.rationale_id = r.parent_id
    left join stg_rationales as grand on grand.rationale_id = parent.parent_id
)
select
    e.example_id,
    e.prompt,
    e.completion,
    p.question,
    e.completion as rationale,  -- what is taught is the chain itself; its own text is not read
    p.answer,
    p.answer_type,
    p.subject,
    coalesce(r.level, d.level) as level,
    d.difficulty,
    e.condition,
    r.kind,
    r.round,
    e.num_tokens,
    o.original_tokens,
    s.rd,
    o.teacher,
    r.model as writer,
    r.prompt_sha,
    p.source,
    e.problem_id,
    e.rationale_id,
    r.parent_id
from stg_examples as e
join problems as p using (problem_id)
join stg_rationales as r using (rationale_id)
join originals as o using (rationale_id)
left join stg_difficulties as d on d.problem_id = e.problem_id
left join stg_scores as s on s.rationale_id = e.rationale_id
order by p.position, e.condition, e.example_id
