"""Queries a person types: one read-only statement, nothing reachable but the corpus.

Invariant: DuckDB itself is locked first (no file but the live parts and its own private folder, a
limit of memory and disk, no setting can change, a read-only transaction); the check of the
statement exists so that a refusal is said clearly.

    query_untrusted(database, "copy problems to 'x.csv'")  ->  QueryRefusedError:
    "COPY is not allowed: one SELECT, EXPLAIN, DESCRIBE or SHOW that only reads the corpus"
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
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

MEMORY_GIB = 4.0
DISK_FACTOR = 10  # on disk, in the private folder, so many times its memory
GIB = 2**30
THREAD_BYTES = 128 * 2**20  # of address space that a thread's allocator reserves

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


def query_untrusted(database: Database, text: str, *, memory_gib: float = MEMORY_GIB) -> Result:
    """All rows of a person's query. Raises QueryRefusedError or QueryFailedError, one line each."""
    cursor = _executed(database, text, memory_gib)
    with explained(memory_gib), database.file_faults():
        return fetch_all(cursor)


def stream_untrusted(
    database: Database,
    text: str,
    *,
    batch_rows: int = BATCH_ROWS,
    memory_gib: float = MEMORY_GIB,
) -> RowStream:
    """The same for results of any size: `batch_rows` rows in memory at a time."""
    cursor = _executed(database, text, memory_gib)
    described = cursor.description or []
    return RowStream(
        columns=tuple(str(column[0]) for column in described),
        types=tuple(str(column[1]) for column in described),
        batches=_batches(database, cursor, batch_rows, memory_gib),
    )


@contextmanager
def arrow_untrusted(
    database: Database,
    text: str,
    *,
    batch_rows: int = BATCH_ROWS,
    memory_gib: float = MEMORY_GIB,
) -> Iterator[Any]:
    """The same as a pyarrow.RecordBatchReader, whose batches are to be read within."""
    check_statement(text)
    lock_down(database, memory_gib=memory_gib)
    with _arrow_explained(memory_gib), explained(memory_gib), database.file_faults():
        cursor = database.cursor()
        cursor.execute("begin transaction read only")
        # A relation streams; what a cursor has executed it would hold whole.
        yield cursor.sql(text).to_arrow_reader(batch_rows)


@contextmanager
def _arrow_explained(memory_gib: float) -> Iterator[None]:
    """DuckDB's errors as they come through a reader of Arrow's: as a text of OSError."""
    try:
        yield
    except OSError as error:
        said = str(error).strip().splitlines()
        if type(error) is OSError and error.errno is None and said:
            if "Out of Memory" in said[0]:
                raise QueryFailedError(_too_much(memory_gib)) from error
            raise QueryFailedError(said[0]) from error
        raise


def lock_down(database: Database, *, memory_gib: float = MEMORY_GIB) -> None:
    """From here on `database` reads its parts and nothing else, in so much memory; this cannot be
    taken back."""
    cursor = database.cursor()
    if cursor.execute("select current_setting('lock_configuration')").fetchall() == [(True,)]:
        return
    cursor.execute("set allowed_paths = ?", [list(database.files)])
    cursor.execute("set memory_limit = ?", [_size(memory_gib)])
    cursor.execute("set max_temp_directory_size = ?", [_size(DISK_FACTOR * memory_gib)])
    cursor.execute("set enable_external_access = false")
    cursor.execute("set lock_configuration = true")


def _size(gib: float) -> str:
    return f"{gib * 1024:.0f}MiB"


@contextmanager
def bounded_memory(memory_gib: float) -> Iterator[None]:
    """What DuckDB does not count (one long text) and what becomes of rows here is bounded as well:
    by this process' address space, twice the limit and room for threads beyond what it has.

    Raises QueryFailedError where that is exceeded.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    room = int(2 * memory_gib * GIB) + GIB + THREAD_BYTES * (os.cpu_count() or 1)
    limit = _address_space_bytes() + room
    taken = [other for other in (soft, hard) if other != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([limit, *taken]), hard))
    try:
        yield
    except MemoryError as error:
        raise QueryFailedError(_too_much(memory_gib)) from error
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):  # no Linux
        return 0
    return pages * resource.getpagesize()


def _too_much(memory_gib: float, *, is_disk: bool = False) -> str:
    what = f"of memory, and {_shown(DISK_FACTOR * memory_gib)} on disk" if is_disk else "of memory"
    return (
        f"the query needs more than {_shown(memory_gib)} {what}: ask for fewer rows or columns, or "
        "raise LITECOT_SQL_MEMORY_GIB"
    )


def _shown(gib: float) -> str:
    return f"{gib:g} GiB"


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


def _executed(database: Database, text: str, memory_gib: float) -> duckdb.DuckDBPyConnection:
    check_statement(text)
    lock_down(database, memory_gib=memory_gib)
    cursor = database.cursor()
    with explained(memory_gib), database.file_faults():
        # DuckDB takes "with x as (insert ...) select" for a SELECT; this transaction does not.
        cursor.execute("begin transaction read only")
        cursor.execute(text)
    return cursor


def _batches(
    database: Database, cursor: duckdb.DuckDBPyConnection, size: int, memory_gib: float
) -> Iterator[list[tuple[Any, ...]]]:
    with explained(memory_gib), database.file_faults():
        while batch := cursor.fetchmany(size):
            yield batch


class explained:  # noqa: N801  a context manager, used like a function
    """DuckDB's errors as one line."""

    def __init__(self, memory_gib: float = MEMORY_GIB) -> None:
        self._memory_gib = memory_gib

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, duckdb.OutOfMemoryException | MemoryError):
            is_disk = "offload" in str(error)
            raise QueryFailedError(_too_much(self._memory_gib, is_disk=is_disk)) from error
        if isinstance(error, duckdb.Error):
            raise QueryFailedError(f"{one_line(error)}{_advice(str(error))}") from error


def _advice(message: str) -> str:
    """What else could have been meant. DuckDB's own guess at a table may be one of its own."""
    if unknown := _UNKNOWN_TABLE.search(message):
        return f" {did_you_mean(unknown[1], relations())}'show tables' lists all"
    columns = _CANDIDATE_COLUMNS.search(message)
    return f" {columns[0]}" if columns else ""
