"""Queries a person types: one read-only statement, nothing reachable but the corpus.

Invariant: DuckDB itself is locked first (no file but the live parts, no setting can change, a
read-only transaction); the check of the statement exists so that a refusal is said clearly.

    query_untrusted(database, "copy problems to 'x.csv'")  ->  QueryRefusedError:
    "COPY is not allowed: one SELECT, EXPLAIN, DESCRIBE or SHOW that only reads the corpus"
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from sql.database import (
    BATCH_ROWS,
    Database,
    QueryFailedError,
    Result,
    did_you_mean,
    fetch_all,
    one_line,
    relations,
)
from tasks.errors import UsageError

_ALLOWED = "one SELECT, EXPLAIN, DESCRIBE or SHOW that only reads the corpus"
_EXPLAIN = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*explain\b(?:\s*\([^)]*\)|\s+analyze\b)?",
    re.IGNORECASE | re.DOTALL,
)

_UNKNOWN_TABLE = re.compile(r"Table with name (\S+) does not exist")
_CANDIDATE_COLUMNS = re.compile(r"Candidate bindings: .*")


class QueryRefusedError(UsageError):
    """A statement that would do more than read the corpus."""


@dataclass(frozen=True, kw_only=True)
class RowStream:
    """A result read a batch at a time."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    batches: Iterator[list[tuple[Any, ...]]]


def query_untrusted(database: Database, text: str) -> Result:
    """All rows of a person's query. Raises QueryRefusedError or QueryFailedError, one line each."""
    cursor = _executed(database, text)
    with explained(), database.file_faults():
        return fetch_all(cursor)


def stream_untrusted(database: Database, text: str, *, batch_rows: int = BATCH_ROWS) -> RowStream:
    """The same for results of any size: `batch_rows` rows in memory at a time."""
    cursor = _executed(database, text)
    described = cursor.description or []
    return RowStream(
        columns=tuple(str(column[0]) for column in described),
        types=tuple(str(column[1]) for column in described),
        batches=_batches(database, cursor, size=batch_rows),
    )


def lock_down(database: Database) -> None:
    """From here on `database` reads its parts and nothing else; this cannot be taken back."""
    cursor = database.cursor()
    if cursor.execute("select current_setting('lock_configuration')").fetchall() == [(True,)]:
        return
    cursor.execute("set allowed_paths = ?", [list(database.files)])
    cursor.execute("set enable_external_access = false")
    cursor.execute("set lock_configuration = true")


def check_statement(text: str) -> None:
    """Raises QueryRefusedError unless `text` is one statement that only reads."""
    with explained():
        statements = duckdb.extract_statements(text)
    if len(statements) != 1:
        raise QueryRefusedError(f"{len(statements)} statements given: {_ALLOWED}")
    kind = statements[0].type.name
    if kind == "EXPLAIN":  # EXPLAIN ANALYZE runs what it explains
        check_statement(_EXPLAIN.sub("", text, count=1))
    elif kind == "MULTI":
        raise QueryRefusedError("PIVOT needs its values spelled out: pivot ... on column in (...)")
    elif kind != "SELECT":
        raise QueryRefusedError(f"{kind} is not allowed: {_ALLOWED}")


def _executed(database: Database, text: str) -> duckdb.DuckDBPyConnection:
    check_statement(text)
    lock_down(database)
    cursor = database.cursor()
    with explained(), database.file_faults():
        # DuckDB takes "with x as (insert ...) select" for a SELECT; this transaction does not.
        cursor.execute("begin transaction read only")
        cursor.execute(text)
    return cursor


def _batches(
    database: Database, cursor: duckdb.DuckDBPyConnection, *, size: int
) -> Iterator[list[tuple[Any, ...]]]:
    with explained(), database.file_faults():
        while batch := cursor.fetchmany(size):
            yield batch


class explained:  # noqa: N801  a context manager, used like a function
    """DuckDB's errors as one line."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, duckdb.Error):
            raise QueryFailedError(f"{one_line(error)}{_advice(str(error))}") from error


def _advice(message: str) -> str:
    """What else could have been meant. DuckDB's own guess at a table may be one of its own."""
    if unknown := _UNKNOWN_TABLE.search(message):
        return f" {did_you_mean(unknown[1], relations())}'show tables' lists all"
    columns = _CANDIDATE_COLUMNS.search(message)
    return f" {columns[0]}" if columns else ""
