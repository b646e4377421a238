-- grain: no rows, only the columns of a stage's inputs, by the statement getvariable('inputs')
from query(getvariable('inputs'))
limit 0
