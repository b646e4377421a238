-- grain: one row per problem with rationales to choose from
with settings as (
    select
        from_json(getvariable('config') -> 'original_kinds', '["varchar"]') as original_kinds,
        (getvariable('config') ->> 'with_compressed')::boolean as with_compressed,
        (getvariable('config') ->> 'keep_fraction')::double as keep_fraction
),
compressed_chains as (
    select parent_id, bool_or(chosen) as has_kept_round
    from stg_rationales
    where kind = 'compressed'
    group by parent_id
),
considered as (
    select r.rationale_id, r.problem_id, 'original' as condition, r.verdict, r.text
    from stg_rationales as r, settings
    where list_contains(original_kinds, r.kind)
    union all
    -- the kept round, or the chain itself where no round was shorter
    select r.rationale_id, r.problem_id, 'compressed' as condition, r.verdict, r.text
    from stg_rationales as r
    cross join settings
    left join compressed_chains as c on c.parent_id = r.rationale_id
    where with_compressed and (r.chosen or not c.has_kept_round)
),
scored as (
    select
        c.*, s.rd,
        row_number() over (partition by c.verdict = 'correct' order by s.rd, c.rationale_id) as place,
        count(*) over (partition by c.verdict = 'correct') as num_correct
    from considered as c
    left join stg_scores as s using (rationale_id)
),
cutoff as (
    select max(rd) as rd_cutoff
    from scored, settings
    where verdict = 'correct' and keep_fraction is not null and place <= ceil(keep_fraction * num_correct)
)
select
    problem_id as record_id, problem_id,
    list(
        {
            'rationale_id': rationale_id, 'condition': condition,
            'verdict': verdict, 'text': text, 'rd': rd
        }
        order by condition, rationale_id
    ) as candidates,
    any_value(rd_cutoff) as rd_cutoff
from scored, cutoff
group by problem_id
order by problem_id
