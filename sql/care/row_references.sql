-- grain: one row per reference that a stored row of any run makes to the row it was made from
select 'memberships' as table_name, membership_id as id, 'problem_id' as column_name, problem_id as to_id
from raw_memberships
union all
select 'candidates', candidate_id, 'problem_id', problem_id from raw_candidates
union all
select 'rationales', rationale_id, 'problem_id', problem_id from raw_rationales
union all
select 'rationales', rationale_id, 'parent_id', parent_id from raw_rationales where parent_id is not null
union all
select 'rationales', rationale_id, 'candidate_id', candidate_id
from raw_rationales
where candidate_id is not null
union all
select 'difficulties', difficulty_id, 'problem_id', problem_id from raw_difficulties
union all
select 'scores', score_id, 'rationale_id', rationale_id from raw_scores
union all
select 'selections', selection_id, 'rationale_id', rationale_id from raw_selections
union all
select 'selections', selection_id, 'duplicate_of', duplicate_of from raw_selections where duplicate_of is not null
union all
select 'examples', example_id, 'rationale_id', rationale_id from raw_examples
union all
select 'perplexities', perplexity_id, 'example_id', example_id from raw_perplexities
union all
select 'rejections', rejection_id, 'problem_id', problem_id from raw_rejections where problem_id is not null
union all
select 'evaluations', evaluation_id, 'problem_id', problem_id from raw_evaluations
