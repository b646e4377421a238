-- grain: one row per forecast of a student's accuracy or tokens, whichever run or command made it
select *
from raw_forecasts
