-- grain: one row per column of the relation getvariable('relation'), or of all of them where that is '*'
select
    table_name as relation,
    column_name,
    data_type,
    column_index as position
from duckdb_columns()
where
    not internal and database_name = current_database()
    and (table_name = getvariable('relation') or getvariable('relation') = '*')
order by relation, position
