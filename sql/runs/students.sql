-- grain: one row per trained student whose id starts with getvariable('prefix'), the latest first
-- Its settings are those of the recipe of the run that stored it.
select m.model_id, m.path, m.recipe, r.settings
from raw_models as m
left join raw_runs as r using (run_id)
where starts_with(m.model_id, getvariable('prefix'))
qualify row_number() over (partition by m.model_id order by m.created_at desc) = 1
order by m.created_at desc
