-- grain: one row per input of a stage, none of them given: what is asked for is the columns
-- The inputs are the statement getvariable('inputs').
from query(getvariable('inputs'))
limit 0
