-- grain: one row per level the teacher named and level of the measured signals alone
-- asks: Do the teacher's verdict and the measured difficulty agree?
with measured as (
    select
        coalesce(teacher_level, 'unread') as teacher_level,
        level,
        (type_score + step_score + error_rate) / 3 as measured
    from stg_difficulties
)
select
    teacher_level,
    level as blended_level,
    count(*) as num_problems,
    round(avg(measured), 4) as mean_measured,
    round(count(*) / sum(count(*)) over (partition by teacher_level), 4) as share_of_teacher_level
from measured
group by teacher_level, level
order by
    list_position(['easy', 'medium', 'hard', 'unread'], teacher_level),
    list_position(['easy', 'medium', 'hard'], level)
