-- grain: one row per level the teacher named and third of the problems by the measured score alone
-- asks: Do the teacher's verdict and the measured difficulty agree?
with graded as (
    select
        coalesce(teacher_level, if(model is null, 'not_asked', 'unread')) as teacher_level,
        measured,
        list_position(['easy', 'medium', 'hard'], teacher_level) as named
    from stg_difficulties
    where measured is not null
),
-- 0..1; equals share the middle of their ranks, so they fall into one third
placed as (
    select
        teacher_level,
        measured,
        (rank() over (order by measured) - 1 + count(*) over (partition by measured) / 2)
        / count(*) over () as quantile
    from graded
),
thirds as (
    select
        *,
        case when quantile < 1 / 3 then 'easy' when quantile < 2 / 3 then 'medium' else 'hard' end as third
    from placed
),
ranked as (
    select
        rank() over (order by measured) + count(*) over (partition by measured) / 2 as by_measure,
        rank() over (order by named) + count(*) over (partition by named) / 2 as by_teacher
    from graded
    where named is not null
)
select
    teacher_level,
    third as measured_third,
    count(*) as num_problems,
    round(avg(measured), 4) as mean_measured,
    round(count(*) / sum(count(*)) over (partition by teacher_level), 4) as share_of_teacher_level,
    -- over all problems: the same number in every row; null where one side never differs
    (select round(nullif(corr(by_measure, by_teacher), 'nan'), 4) from ranked) as spearman
from thirds
group by teacher_level, third
order by
    list_position(['easy', 'medium', 'hard', 'unread', 'not_asked'], teacher_level),
    list_position(['easy', 'medium', 'hard'], third)
