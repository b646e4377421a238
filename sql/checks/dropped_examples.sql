-- grain: one row per example whose rationale was not kept for that condition
select e.example_id, e.rationale_id, e.condition, s.filter, s.reason
from stg_examples as e
left join stg_selections as s using (rationale_id, condition)
where s.kept is distinct from true
order by e.example_id
