"""What every relation and every column of it is: for `litecot describe`, the shell, docs/schema.md.

Invariant: each is said once. Of a stored column it is what tasks/schemas.py says, wherever the
column is passed on by its name; what a view makes of its own is in sql/descriptions.toml; a
relation's rows are the first line of its file.

    describe(database, "funnel").columns[0] == Column("stage", "VARCHAR", "step: ...")
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache

from sql.database import SQL_FOLDER, Database, did_you_mean, names, relations, statement
from sql.views import ALL_ROWS
from tasks.errors import UsageError
from tasks.schemas import STAMP, TABLES

_GRAIN = "-- grain: "


class UnknownRelationError(UsageError):
    """There is no relation of that name."""


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    description: str


@dataclass(frozen=True)
class Described:
    """`kind`: stored, staging or marts; `rows` completes "one row per"."""

    relation: str
    kind: str
    rows: str
    columns: tuple[Column, ...]


def describe(database: Database, relation: str) -> Described:
    """Raises UnknownRelationError."""
    if relation not in relations():
        meant = did_you_mean(relation, relations())
        raise UnknownRelationError(f"no relation {relation!r}. {meant}`litecot describe` lists all")
    found = columns_of(database, relation)[relation]
    columns = (Column(name, kind, description(relation, name)) for name, kind in found)
    return Described(relation, kind_of(relation), rows_of(relation), tuple(columns))


def columns_of(database: Database, relation: str = "*") -> dict[str, list[tuple[str, str]]]:
    """Relation -> its columns and their types, of one or of all."""
    found: dict[str, list[tuple[str, str]]] = {}
    rows = database.run_file("status", "relation_columns", variables={"relation": relation}).rows
    for name, column, kind, _ in rows:
        found.setdefault(str(name), []).append((str(column), str(kind)))
    return found


def kind_of(relation: str) -> str:
    """stored | staging | marts."""
    if relation.startswith("raw_"):
        return "stored"
    return "staging" if relation in names("staging") else "marts"


def rows_of(relation: str) -> str:
    """What a row is, e.g. "stage and reason"."""
    if relation == ALL_ROWS:
        return "stored row of any table and any run: what all tables have in common"
    if relation.startswith("raw_"):
        return f"stored row of the table {relation.removeprefix('raw_')}, of all runs and settings"
    first = statement(kind_of(relation), relation).splitlines()[0]
    return first.removeprefix(_GRAIN).removeprefix("one row per ")


def description(relation: str, column: str) -> str:
    """Of a column; empty only where nobody wrote one (a test sees to that)."""
    own = _own()
    return (
        own.get(relation, {}).get(column)
        or _stored().get(_table(relation), {}).get(column)
        or own["everywhere"].get(column)
        or _anywhere().get(column, "")
    )


def _table(relation: str) -> str:
    return relation.removeprefix("raw_").removeprefix("stg_")


@cache
def _own() -> Mapping[str, Mapping[str, str]]:
    read = tomllib.loads((SQL_FOLDER / "descriptions.toml").read_text(encoding="utf-8"))
    return {name: dict(columns) for name, columns in read.items()}


@cache
def _stored() -> Mapping[str, Mapping[str, str]]:
    stamp = {name: text for name, (_, text) in STAMP.items()}
    return {
        table: {
            **stamp,
            row.key: f"id of the row of {table}",
            **{item.name: str(item.metadata["description"]) for item in fields(row)},
        }
        for table, row in TABLES.items()
    }


@cache
def _anywhere() -> Mapping[str, str]:
    """Columns that all tables having them describe alike."""
    said: dict[str, set[str]] = {}
    for columns in _stored().values():
        for name, text in columns.items():
            said.setdefault(name, set()).add(text)
    return {name: texts.pop() for name, texts in said.items() if len(texts) == 1}
