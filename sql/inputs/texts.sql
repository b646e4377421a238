-- grain: one row per rationale of getvariable('rationales'), a JSON list of ids
select rationale_id, text, incomplete
from stg_rationales
where rationale_id in (select unnest(from_json(getvariable('rationales'), '["varchar"]')))
