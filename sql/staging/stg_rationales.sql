-- grain: one row per rationale of the selected run
-- Two columns are computed, each only where a query asks for it. cut_off: why the chain did not end by itself, null
-- where it did, by finish_reason alone (one that nobody knows proves nothing). incomplete: the same, or what its text
-- shows.
with chains as (
    select
        *,
        case
            when finish_reason in ('stop', 'imported', 'original') then null
            when finish_reason = 'content_filter' then 'content_filter'
            else 'cut_off'
        end as cut_off
    from raw_rationales
    where
        stage_fingerprint in (select unnest(map_values(getvariable('fingerprints'))))
        and problem_id in (select problem_id from stg_memberships)
        -- unset but where sql/pending.py knows when the rows it needs were written: the rest is not opened
        and (getvariable('rationales_from') is null or created_at >= getvariable('rationales_from'))
        and (getvariable('rationales_to') is null or created_at <= getvariable('rationales_to'))
),
-- of texts with thoughts, marked as <think>, <|begin_of_thought|> and their like, what follows the last one that ends
answered as (
    select
        *,
        case
            when regexp_matches(text, '[</|:_\[◁](?:think|thinking|thought|reasoning)[>|\]▷]', 'i')
                then regexp_replace(
                    text,
                    '^.*(?:</(?:seed:)?(?:think|thinking|thought|reasoning)>'
                    || '|<\|end_of_thought\|>|\[/think\]|◁/think▷)',
                    '',
                    'is'
                )
        end as behind
    from chains
)
select
    * exclude (behind),
    case
        when cut_off is not null then cut_off
        when regexp_matches(
            behind,
            '<(?:seed:)?(?:think|thinking|thought|reasoning)>|<\|begin_of_thought\|>|\[think\]|◁think▷',
            'i'
        ) then 'unclosed_thought'
        -- tags and marks of the turn's end are no answer
        when behind <> text and regexp_matches(behind, '^(?:[\s\pZ\pC]|<[^<>]*>)*$') then 'nothing_behind_thought'
    end as incomplete
from answered
