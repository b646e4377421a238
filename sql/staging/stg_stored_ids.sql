-- grain: one row per stored row of any table and any run
select 'problems' as table_name, problem_id as id, problem_id, run_id from raw_problems
union all
select 'memberships', membership_id, problem_id, run_id from raw_memberships
union all
select 'candidates', candidate_id, problem_id, run_id from raw_candidates
union all
select 'rationales', rationale_id, problem_id, run_id from raw_rationales
union all
select 'difficulties', difficulty_id, problem_id, run_id from raw_difficulties
union all
select 'scores', score_id, problem_id, run_id from raw_scores
union all
select 'selections', selection_id, problem_id, run_id from raw_selections
union all
select 'examples', example_id, problem_id, run_id from raw_examples
union all
select 'rejections', rejection_id, problem_id, run_id from raw_rejections
union all
select 'evaluations', evaluation_id, problem_id, run_id from raw_evaluations
union all
select 'models', model_id, null, run_id from raw_models
union all
select 'runs', run_id, null, run_id from raw_runs
union all
select 'invocations', invocation_id, null, run_id from raw_invocations
