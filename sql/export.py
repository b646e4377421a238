"""A corpus as one DuckDB file that needs nothing of ours: tables, views over them, descriptions.

Invariant: every relation is there by its name and gives the rows it gives here, in any DuckDB from
1.0 on. What a session of ours knows by variables (the selected run) is a row there.

    export_database(database, Path("corpus.duckdb"))  ->  41230, the rows copied
    select * from funnel;                  update selection set run_id = '9f0c...';
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb

from sql.database import Database, in_order, names, one_line, statement
from sql.described import columns_of, description, rows_of
from sql.views import ALL_ROWS, raw_views
from tasks.errors import UsageError
from tasks.schemas import TABLES

STORAGE_VERSION = "v1.0.0"  # what DuckDB of 2024 and later opens
ALIAS = "exported"
SELECTED_RUN = (
    "create view selected_run as select run_id, fingerprints::json::map(varchar, varchar) as "
    "fingerprints from raw_runs where run_id = (select s.run_id from selection as s)"
)
MACRO = "create macro fingerprint_of(stage) as (select fingerprints[stage] from selected_run)"
_VARIABLE = re.compile(r"getvariable\('(\w+)'\)")
_FINGERPRINT = re.compile(r"fingerprint_of\('(\w+)'\)")
_SELECTED = {
    "run_id": "(select run_id from selected_run)",
    "fingerprints": "(select fingerprints from selected_run)",
}


class ExportError(UsageError):
    """DuckDB could not make the file."""


def export_database(
    database: Database,
    file: Path,
    *,
    sizes: Mapping[str, int],
    advance: Callable[[int, int], None] | None = None,
) -> int:
    """Make `file`, which is not there yet, of all that `database` sees; the rows of its tables.

    `sizes` are bytes by table, by which `advance` is told how far it is. Raises ExportError,
    OSError.
    """
    cursor = database.cursor()
    where = quoted(str(file))
    try:
        with database.file_faults():
            cursor.execute(f"attach {where} as {ALIAS} (storage_version '{STORAGE_VERSION}')")
            num_rows = _copy_tables(cursor, sizes, advance)
            cursor.execute("begin transaction")  # a thousand statements, written once
            _create_views(database, cursor)
            cursor.execute("commit")
            cursor.execute(f"detach {ALIAS}")
    except duckdb.Error as error:
        if "No space left" in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise ExportError(f"{file}: {one_line(error)}") from error
    return num_rows


def _copy_tables(
    cursor: duckdb.DuckDBPyConnection,
    sizes: Mapping[str, int],
    advance: Callable[[int, int], None] | None,
) -> int:
    num_rows, done = 0, 0
    for table in TABLES:
        copied = cursor.execute(f"create table {ALIAS}.raw_{table} as from raw_{table}")
        num_rows += int(copied.fetchall()[0][0])
        done += sizes.get(table, 0)
        if advance:
            advance(done, sum(sizes.values()))
    return num_rows


def _create_views(database: Database, cursor: duckdb.DuckDBPyConnection) -> None:
    """They name one another without a database: then they work under whatever name it is opened."""
    views = {name: statement(kind, name) for kind in ("staging", "marts") for name in names(kind)}
    cursor.execute(f"use {ALIAS}")
    try:
        cursor.execute("create table selection(run_id varchar)")
        cursor.execute("insert into selection values (?)", [database.run_id])
        cursor.execute(SELECTED_RUN)
        cursor.execute(MACRO)
        cursor.execute(f"create view {ALL_ROWS} as {raw_views({})[ALL_ROWS]}")
        for name, query in in_order(views).items():
            cursor.execute(f"create view {name} as {without_variables(query)}")
        _describe(database, cursor)
    finally:
        cursor.execute("use memory")


def without_variables(query: str) -> str:
    """A view's text with the selected run as a row, and what only a run of ours sets as null."""
    query = _FINGERPRINT.sub(r"(select fingerprints['\1'] from selected_run)", query)
    return _VARIABLE.sub(lambda found: _SELECTED.get(found[1], "null"), query)


def _describe(database: Database, cursor: duckdb.DuckDBPyConnection) -> None:
    """As comments, which clients show beside tables and columns."""
    for relation, columns in columns_of(database).items():
        kind = "table" if relation.removeprefix("raw_") in TABLES else "view"
        rows = quoted(f"one row per {rows_of(relation)}")
        cursor.execute(f"comment on {kind} {relation} is {rows}")
        for column, _ in columns:
            name, told = column.replace('"', '""'), quoted(description(relation, column))
            cursor.execute(f'comment on column {relation}."{name}" is {told}')


def quoted(text: str) -> str:
    """As a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
