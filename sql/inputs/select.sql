-- grain: one row per problem with rationales to choose from, in the order they were written
with recursive settings as (
    select
        from_json(getvariable('config') -> 'original_kinds', '["varchar"]') as original_kinds,
        (getvariable('config') ->> 'with_compressed')::boolean as with_compressed,
        (getvariable('config') ->> 'keep_fraction')::double as keep_fraction,
        coalesce((getvariable('config') ->> 'by_rd')::boolean, true) as by_rd,
        coalesce((getvariable('config') ->> 'by_ranks')::boolean, false) as by_ranks,
        coalesce((getvariable('config') ->> 'require_stated_answer')::boolean, false) as require_stated,
        coalesce(
            from_json(getvariable('config') -> 'filters', '["varchar"]'), ['accuracy', 'diversity', 'difficulty']
        ) as filters
),
-- what is chosen by, none where it is RD; sign -1 where higher is better
measures as (
    select unnest(
        from_json(
            coalesce(getvariable('config') -> 'measures', '[]'),
            '[{"scorer": "varchar", "weight": "double", "sign": "tinyint"}]'
        ),
        recursive := true
    )
),
compressed_chains as (
    select
        parent_id,
        bool_or(chosen) as has_kept_round,
        coalesce(
            bool_or(stop_reason in ('answer_changed', 'answer_not_stated', 'truncated', 'refused')), false
        ) as is_spoilt
    from stg_rationales
    where kind = 'compressed'
    group by parent_id
),
-- what was cut off, and all that was made of it
broken as (
    select rationale_id, cut_off as reason
    from stg_rationales
    where cut_off is not null
    union
    select r.rationale_id, 'parent_cut_off' as reason
    from stg_rationales as r
    join broken as b on b.rationale_id = r.parent_id
    where r.cut_off is null
),
considered as (
    select
        r.rationale_id, r.problem_id, r.kind, 'original' as condition, r.verdict, r.stated_as, r.created_at
    from stg_rationales as r, settings
    where list_contains(original_kinds, r.kind)
    union all
    -- the kept round, or the chain itself where it could not be made shorter and stay right
    select
        r.rationale_id, r.problem_id, r.kind, 'compressed' as condition, r.verdict, r.stated_as, r.created_at
    from stg_rationales as r
    cross join settings
    left join compressed_chains as c on c.parent_id = r.rationale_id
    where with_compressed and (r.chosen or not (c.has_kept_round or c.is_spoilt))
),
scored as (
    select
        c.*, s.rd, b.reason as incomplete,
        b.reason is null
        and (
            not list_contains(filters, 'accuracy')
            or (
                c.verdict = 'correct'
                and not (require_stated and c.stated_as is not distinct from 'closing_line')
            )
        ) as is_fit,
        -- without the difficulty filter it may stay unscored
        s.rd is not null or not list_contains(filters, 'difficulty') as is_measured
    from considered as c
    cross join settings
    left join stg_scores as s using (rationale_id)
    left join broken as b using (rationale_id)
),
wanted as (
    select rationale_id, scorer, value
    from stg_score_values
    where list_contains(getvariable('config') ->> '$.measures[*].scorer', scorer)
),
valued as (
    select
        s.rationale_id, s.condition, m.scorer, m.weight, v.value,
        -- less is better; null, the last of all, where it is no number to compare
        case when isfinite(v.value) then m.sign * v.value end as cost
    from scored as s
    cross join measures as m
    left join wanted as v on v.rationale_id = s.rationale_id and v.scorer = m.scorer
    where s.is_fit and s.rd is not null
),
ranked as (
    select
        rationale_id, condition, weight, cost,
        -- 0 for the best of the use to 1 for the worst; equals share the middle of their ranks
        (rank() over by_cost - 1 + (count(*) over (by_cost range between current row and current row) - 1) / 2)
            / greatest(count(*) over (by_cost rows between unbounded preceding and unbounded following) - 1, 1)
            as rank
    from valued, settings
    where by_ranks
    window by_cost as (partition by condition, scorer order by cost)
),
blended as (
    select
        rationale_id, condition,
        -- sorted, for a sum of floats depends on its order
        case
            when count(*) = count(cost)
                then list_sum(list_sort(list(weight * rank))) / (select list_sum(list(weight)) from measures)
        end as value
    from ranked
    group by rationale_id, condition
),
measured as (
    select rationale_id, condition, value, cost
    from valued, settings
    where not by_ranks
    union all
    select rationale_id, condition, value, value
    from blended
),
chosen_from as (
    select s.*, m.value, case when by_rd then s.rd else m.cost end as cost
    from scored as s
    cross join settings
    left join measured as m using (rationale_id, condition)
),
placed as (
    select
        cost,
        row_number() over (order by cost, rationale_id) as position,
        count(*) over () as num_correct
    from chosen_from
    where is_fit and (select keep_fraction from settings) is not null
),
cutoff as (
    -- none where the share reaches those without a value
    select case when count(*) = count(cost) then max(cost) end as cutoff
    from placed, settings
    where position <= ceil(keep_fraction * num_correct)
)
select
    problem_id as record_id, problem_id,
    list(
        {
            'rationale_id': rationale_id, 'condition': condition,
            'verdict': verdict, 'stated_as': stated_as, 'incomplete': incomplete,
            'rd': rd, 'value': value, 'kind': kind,
            -- what may be kept gets its text later, a page at a time, and what that shows: sql/pending.py
            'text_from': case when is_fit and is_measured then created_at end
        }
        order by condition, rationale_id
    ) as candidates,
    any_value(cutoff) as cutoff
from chosen_from, cutoff
group by problem_id
order by min(created_at), problem_id
