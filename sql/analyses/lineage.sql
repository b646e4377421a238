-- grain: one row per row of the selected run, and per answer of any, about the problem of getvariable('id')
with problems as (
    select problem_id
    from stg_stored_ids
    where starts_with(id, getvariable('id')) and problem_id is not null
),
final as (
    select
        1 as step, 'problems' as table_name, problem_id, problem_id as id, null as parent_id,
        source as label, split as outcome, null as reason, null as candidate, null as round,
        null as num_tokens, null::double as measure, answer, question as text
    from stg_problems
    union all by name
    select
        2 as step, 'candidates' as table_name, problem_id, candidate_id as id, null as parent_id,
        model as label, recorded_correct::varchar as outcome, candidate, text
    from stg_candidates
    union all by name
    select
        list_position(['long', '', 'rewritten', 'compressed'], kind) + 2 as step,
        'rationales' as table_name, problem_id, rationale_id as id, parent_id,
        kind as label, verdict as outcome, coalesce(stop_reason, finish_reason) as reason, chosen,
        level, model, candidate, round, num_tokens, extracted_answer as answer, stated_as, text
    from stg_rationales
    union all by name
    select
        4 as step, 'difficulties' as table_name, problem_id, difficulty_id as id,
        problem_id as parent_id, teacher_level as label, level as outcome, level, model,
        difficulty as measure
    from stg_difficulties
    union all by name
    select
        7 as step, 'scores' as table_name, problem_id, score_id as id, rationale_id as parent_id,
        student as label, num_tokens, rd as measure
    from stg_scores
    union all by name
    select
        8 as step, 'selections' as table_name, problem_id, selection_id as id,
        rationale_id as parent_id, condition as label,
        case when kept then 'kept' else 'dropped' end as outcome, filter || ': ' || reason as reason,
        rank, rd as measure
    from stg_selections
    union all by name
    select
        9 as step, 'examples' as table_name, problem_id, example_id as id,
        rationale_id as parent_id, condition as label, num_tokens, completion as text
    from stg_examples
    union all by name
    select
        10 as step, 'rejections' as table_name, problem_id, rejection_id as id,
        record_id as parent_id, stage as label, 'rejected' as outcome, reason, detail as text
    from stg_rejections
    union all by name
    -- of any run: who was asked later is asked about the same question
    select
        11 as step, 'evaluations' as table_name, problem_id, evaluation_id as id,
        model_id as parent_id, role as label, verdict as outcome, finish_reason as reason, settings,
        sample as candidate, compress::int as round, num_tokens, extracted_answer as answer, stated_as, text
    from stg_evaluated_answers
)
select *
from final
where problem_id in (select problem_id from problems)
order by problem_id, step, settings, parent_id, candidate, round, rank, id
