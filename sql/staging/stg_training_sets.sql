-- grain: one row per training set: the examples that were made under one fingerprint of the stage 'mix', by any run
-- What is known of a student's examples before it is trained. compression_rate: tokens of the compressed chains, of
-- those of the chains they were made from, 1 where none is compressed; mean_rounds: of these, 0 where none is; levels
-- are those of the problems that were graded. data_fingerprint: as `models` has it, the hash of the ids in order.
with sets as (
    select stage_fingerprint as examples_fingerprint, arg_min(run_id, created_at) as run_id
    from raw_examples
    group by stage_fingerprint
),
runs as (
    select
        s.examples_fingerprint, s.run_id,
        json_extract_string(r.fingerprints, '$.difficulty') as difficulty_fingerprint,
        json_extract_string(r.fingerprints, '$.select') as select_fingerprint
    from sets as s
    left join raw_runs as r using (run_id)
),
-- quantile thresholds are read among a shard's problems, as in stg_difficulties
graded as (
    select
        r.examples_fingerprint, d.problem_id, d.level, d.medium_from, d.hard_from,
        (
            rank() over (partition by r.examples_fingerprint, m.shard, d.level is null order by d.difficulty) - 1
            + count(*) over (partition by r.examples_fingerprint, m.shard, d.level is null, d.difficulty) / 2
        ) / count(*) over (partition by r.examples_fingerprint, m.shard, d.level is null) as quantile
    from runs as r
    join raw_difficulties as d on d.stage_fingerprint = r.difficulty_fingerprint
    join raw_memberships as m on m.member_of = r.run_id and m.problem_id = d.problem_id and m.split = 'train'
),
levels as (
    select
        examples_fingerprint, problem_id,
        coalesce(
            level, case when quantile < medium_from then 'easy' when quantile < hard_from then 'medium' else 'hard' end
        ) as level
    from graded
),
kept as (
    select r.examples_fingerprint, avg(s.kept::int) as share_kept
    from runs as r
    join raw_selections as s on s.stage_fingerprint = r.select_fingerprint
    group by r.examples_fingerprint
),
taught as (
    select
        e.stage_fingerprint as examples_fingerprint, e.example_id, e.num_tokens, e.condition,
        e.condition = 'compressed' as is_compressed,
        case when c.kind = 'compressed' then c.round else 0 end as num_rounds,
        c.num_tokens as tokens_after,
        case when c.kind = 'compressed' then coalesce(p.num_tokens, c.num_tokens) else c.num_tokens end
            as tokens_before,
        l.level
    from raw_examples as e
    left join raw_rationales as c on c.rationale_id = e.rationale_id
    left join raw_rationales as p on p.rationale_id = c.parent_id
    left join levels as l on l.examples_fingerprint = e.stage_fingerprint and l.problem_id = e.problem_id
),
final as (
    select
        examples_fingerprint,
        left(sha256('[["' || string_agg(example_id, '", "' order by example_id) || '"]]'), 16) as data_fingerprint,
        count(*) as num_examples,
        avg(is_compressed::int) as share_compressed,
        avg(num_tokens) as tokens,
        avg(num_tokens) filter (not is_compressed) as tokens_original,
        avg(num_tokens) filter (is_compressed) as tokens_compressed,
        coalesce(
            sum(tokens_after) filter (is_compressed) / nullif(sum(tokens_before) filter (is_compressed), 0), 1
        ) as compression_rate,
        coalesce(avg(num_rounds) filter (is_compressed), 0) as mean_rounds,
        count(level) as num_graded,
        avg((level = 'easy')::int) as share_easy,
        avg((level = 'medium')::int) as share_medium,
        avg((level = 'hard')::int) as share_hard
    from taught
    group by examples_fingerprint
)
select f.*, k.share_kept
from final as f
left join kept as k using (examples_fingerprint)
