"""A corpus seen through DuckDB: in memory, views only, one run selected.

Invariant: nothing is read when connecting but the parts' footers, and nothing is ever written but
what a query puts aside in a folder of its own (mkdtemp: nobody else's), gone when it is closed;
`set_run` alone decides which rows the staging views, and so all marts and checks, show.

    database = connect(corpus.parts())
    database.run("select stage, num_problems from funnel").rows == [("problems", 200), ...]
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb

from sql.views import ALL_ROWS, raw_views
from tasks.errors import UsageError, near_names
from tasks.schemas import TABLES

SQL_FOLDER = Path(__file__).parent
BATCH_ROWS = 1024
Values = Sequence[Any] | Mapping[str, Any]
Variable = str | int | float | bool | None

_SETTINGS = {
    "python_enable_replacements": "false",  # a name in a query is never a Python variable
    "autoinstall_known_extensions": "false",  # no network, whatever is asked
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}
INTERRUPTED = "Query interrupted"  # a RuntimeError
_READ = re.compile(r"\b(?:from|join) (\w+)")  # relations that a statement names
_MACRO = "create macro fingerprint_of(stage) as getvariable('fingerprints')[stage]"


class UnknownRunError(UsageError):
    """The run asked for is not in the corpus."""


class QueryFailedError(UsageError):
    """What DuckDB says about a query, in one line."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """`types` are DuckDB's names, e.g. BIGINT; `rows` are Python values in column order."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def records(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Database:
    """Made by `connect`. Queries are cursors of their own, so streams may overlap."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        through: Any = None,
        folder: str | None = None,
    ) -> None:
        self._connection = connection
        self._clean = weakref.finalize(self, shutil.rmtree, folder or "", ignore_errors=True)
        self._variables: dict[str, Any] = {}
        self._cursors: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()
        self._through = through
        self._tables: dict[str, str] = {}  # raw_ view -> its query
        self.files: tuple[str, ...] = ()
        self.set_run("", {})

    @property
    def run_id(self) -> str:
        """The selected run, empty where there is none."""
        return str(self._variables["run_id"])

    def set_run(self, run_id: str, fingerprints: Mapping[str, str]) -> None:
        """Select a run, stored or not yet: all stg_ views and marts show its rows."""
        self._variables |= {"run_id": run_id, "fingerprints": dict(fingerprints)}

    def select_run(self, run_id: str | None = None) -> None:
        """Select a stored run by id or unique prefix, by default the latest."""
        if run_id is None:
            latest = self.run_file("runs", "latest_run").rows
            if not latest:
                return
            run_id = str(latest[0][0])
        found = self.run_file("runs", "runs_by_prefix", variables={"prefix": run_id}).rows
        if len(found) != 1:
            fault = "is the start of several runs" if found else "is no run of this corpus"
            raise UnknownRunError(f"{run_id!r} {fault}; `litecot sql 'from raw_runs'` lists them")
        self.set_run(found[0][0], json.loads(found[0][1]))

    def show(self, parts: Mapping[str, Sequence[str]]) -> None:
        """These parts (table -> files) from now on, under the same views: making all of them anew
        takes longer than most questions do. What is being read goes on with what it began with."""
        told = raw_views(parts)  # each reads those before it only
        if told == self._tables:
            return
        with self.file_faults(), self.cursor() as cursor:
            cursor.begin()  # nobody sees the new parts of one table and the old of another
            for name in told:
                if told[name] != self._tables.get(name):
                    cursor.execute(f"create or replace view {name} as {told[name]}")
            cursor.commit()
        self._tables = told
        self.files = tuple(file for some in parts.values() for file in some)

    def set_variables(self, **values: Variable) -> None:
        """What queries see as getvariable('name')."""
        self._variables |= values

    def run(
        self,
        sql: str,
        params: Values | None = None,
        *,
        variables: Mapping[str, Variable] | None = None,
    ) -> Result:
        """All rows of a trusted query. `variables` are seen by this query alone."""
        cursor = self.cursor(variables)
        with self.file_faults():
            _execute(cursor, sql, params)
            return fetch_all(cursor)

    def run_file(
        self, kind: str, name: str, *, variables: Mapping[str, Variable] | None = None
    ) -> Result:
        """All rows of sql/<kind>/<name>.sql, e.g. ("checks", "duplicate_ids")."""
        return self.run(statement(kind, name), variables=variables)

    def rows_of(self, relation: str) -> Result:
        """All rows of a relation, e.g. "funnel"."""
        return self.run(f"from {relation}")

    def stream(
        self,
        sql: str,
        params: Values | None = None,
        *,
        variables: Mapping[str, Variable] | None = None,
        batch_rows: int = BATCH_ROWS,
    ) -> Iterator[dict[str, Any]]:
        """Rows of a trusted query as column -> value, `batch_rows` in memory at a time.

        `variables` are seen by this query alone.
        """
        cursor = self.cursor(variables)
        with self.file_faults():
            _execute(cursor, sql, params)
        columns = [column[0] for column in cursor.description or ()]
        while batch := self._fetch(cursor, batch_rows):
            for row in batch:
                yield dict(zip(columns, row, strict=True))

    def _fetch(self, cursor: duckdb.DuckDBPyConnection, num_rows: int) -> list[tuple[Any, ...]]:
        with self.file_faults():
            return cursor.fetchmany(num_rows)

    @contextmanager
    def file_faults(self) -> Iterator[None]:
        """Raises what reading a file met, where DuckDB only says that something failed; and
        KeyboardInterrupt, of which it makes an error of its own."""
        try:
            yield
        except RuntimeError as error:
            if str(error) == INTERRUPTED:
                raise KeyboardInterrupt from None
            raise
        except duckdb.Error as error:
            fault = getattr(self._through, "fault", None)
            if fault is None:
                raise
            self._through.fault = None
            raise fault from error

    def cursor(self, variables: Mapping[str, Variable] | None = None) -> duckdb.DuckDBPyConnection:
        """A connection to the same views, with the variables of now: each cursor has its own."""
        cursor = self._connection.cursor()
        self._cursors.add(cursor)
        for name, value in {**self._variables, **(variables or {})}.items():
            if isinstance(value, dict):
                cursor.execute(
                    f"set variable {name} = ?::json::map(varchar, varchar)", [json.dumps(value)]
                )
            else:
                cursor.execute(f"set variable {name} = ?", [value])
        return cursor

    def interrupt(self) -> None:
        """End what is being asked, from another thread: it raises there."""
        for cursor in list(self._cursors):
            cursor.interrupt()

    def close(self) -> None:
        self._connection.close()
        self._clean()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(
    parts: Mapping[str, Sequence[str]],
    *,
    through: Any = None,
    run_id: str | None = None,
    memory_limit: str | None = None,
    threads: int | None = None,
    kinds: Sequence[str] = ("staging", "marts"),
) -> Database:
    """The corpus made of `parts` (table -> files), with all views, and a run selected.

    `kinds`: folders of views that are made over the stored tables; each takes its time.

    `through` is the fsspec filesystem to read them with, None for paths of this machine; `run_id`
    an id or its unique prefix, by default the latest; `memory_limit` e.g. "2GB".
    Raises UnknownRunError.
    """
    limits = {"memory_limit": memory_limit, "threads": threads}
    settings: dict[str, Any] = {**_SETTINGS, **{k: v for k, v in limits.items() if v is not None}}
    folder = settings["temp_directory"] = tempfile.mkdtemp(prefix="litecot-sql-")
    connection = duckdb.connect(":memory:", config=settings)
    if through is not None:
        connection.register_filesystem(through)
    database = Database(connection, through=through, folder=folder)
    database.show(parts)
    with database.file_faults():
        _create_views(database.cursor(), kinds)
    database.select_run(run_id)
    return database


def _create_views(cursor: duckdb.DuckDBPyConnection, kinds: Sequence[str]) -> None:
    cursor.execute(_MACRO)
    for kind in kinds:
        views = in_order({name: statement(kind, name) for name in names(kind)})
        for name, query in views.items():
            cursor.execute(f"create view {name} as {query}")


def names(kind: str) -> list[str]:
    """The queries of sql/<kind>, sorted."""
    return sorted(path.stem for path in (SQL_FOLDER / kind).glob("*.sql"))


def relations() -> list[str]:
    """What a query can be asked of: the stored tables, the selected run's views, the marts."""
    return [*(f"raw_{table}" for table in TABLES), ALL_ROWS, *names("staging"), *names("marts")]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question and a blank, e.g. "Did you mean 'raw_runs'? "; empty where nothing is near."""
    near = near_names(name, known, cutoff=0.6)  # runs for stg_runs
    return f"Did you mean {near}? " if near else ""


def statement(kind: str, name: str) -> str:
    """The text of sql/<kind>/<name>.sql."""
    return (SQL_FOLDER / kind / f"{name}.sql").read_text()


def one_line(error: duckdb.Error) -> str:
    """The first line of what DuckDB says, without its class name."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _execute(cursor: duckdb.DuckDBPyConnection, sql: str, params: Values | None) -> None:
    try:
        cursor.execute(sql, params)
    except duckdb.ParserException as error:
        raise QueryFailedError(f"{one_line(error)} in: {sql}") from error


def fetch_all(cursor: duckdb.DuckDBPyConnection) -> Result:
    """What an executed cursor has left."""
    described = cursor.description or []
    return Result(
        columns=tuple(str(column[0]) for column in described),
        types=tuple(str(column[1]) for column in described),
        rows=cursor.fetchall(),
    )


def in_order(views: Mapping[str, str]) -> dict[str, str]:
    """Views may read one another: those that are read come first."""
    reads = {name: {*_READ.findall(query)} & views.keys() for name, query in views.items()}
    return {name: views[name] for name in TopologicalSorter(reads).static_order()}
