-- grain: one row per problem with rationales to choose from, in the order they were written
with settings as (
    select
        from_json(getvariable('config') -> 'original_kinds', '["varchar"]') as original_kinds,
        (getvariable('config') ->> 'with_compressed')::boolean as with_compressed,
        (getvariable('config') ->> 'keep_fraction')::double as keep_fraction
),
compressed_chains as (
    select
        parent_id,
        bool_or(chosen) as has_kept_round,
        coalesce(bool_or(stop_reason in ('answer_changed', 'truncated', 'refused')), false) as is_spoilt
    from stg_rationales
    where kind = 'compressed'
    group by parent_id
),
considered as (
    select r.rationale_id, r.problem_id, r.kind, 'original' as condition, r.verdict, r.created_at
    from stg_rationales as r, settings
    where list_contains(original_kinds, r.kind)
    union all
    -- the kept round, or the chain itself where it could not be made shorter and stay right
    select r.rationale_id, r.problem_id, r.kind, 'compressed' as condition, r.verdict, r.created_at
    from stg_rationales as r
    cross join settings
    left join compressed_chains as c on c.parent_id = r.rationale_id
    where with_compressed and (r.chosen or not (c.has_kept_round or c.is_spoilt))
),
scored as (
    select c.*, s.rd
    from considered as c
    left join stg_scores as s using (rationale_id)
),
placed as (
    select
        rd,
        row_number() over (order by rd, rationale_id) as position,
        count(*) over () as num_correct
    from scored
    where verdict = 'correct' and (select keep_fraction from settings) is not null
),
cutoff as (
    select max(rd) as rd_cutoff
    from placed, settings
    where position <= ceil(keep_fraction * num_correct)
)
select
    problem_id as record_id, problem_id,
    list(
        {
            'rationale_id': rationale_id, 'condition': condition,
            'verdict': verdict, 'rd': rd, 'kind': kind,
            -- what may be compared gets its text later, a page at a time: sql/pending.py
            'text_from': case when verdict = 'correct' and rd is not null then created_at end
        }
        order by condition, rationale_id
    ) as candidates,
    any_value(rd_cutoff) as rd_cutoff
from scored, cutoff
group by problem_id
order by min(created_at), problem_id
