-- grain: one row per run whose candidates were filtered: how much work they gave the filters
select
    count(*) as num_chains,
    avg((filter = 'accuracy' and reason <> 'not_scored')::int) as share_wrong,
    count(*) filter (filter = 'diversity') / nullif(count(*) filter (filter <> 'accuracy'), 0) as share_duplicate,
    count(*) filter (filter <> 'accuracy' and rd > 1) / nullif(count(*) filter (filter <> 'accuracy'), 0)
        as share_confusing
from stg_selections
where condition = 'original'
having count(*) > 0
