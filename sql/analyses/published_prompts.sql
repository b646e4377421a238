-- grain: one row per kind of rationale, model and prompt
with rationales as (
    select kind, model, coalesce(prompt_sha, 'brought') as prompt_sha
    from stg_rationales
)
select kind, model, prompt_sha, count(*) as num_rows
from rationales
group by kind, model, prompt_sha
order by list_position(['long', 'rewritten', 'compressed'], kind), model, prompt_sha
