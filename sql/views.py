"""The stored tables as DuckDB sees them: the texts of their views, made from the schemas.

Invariant: pure; a table added to tasks/schemas.py is here with no edit, and an empty one has its
columns all the same. A sample: raw_views({"runs": ["/c/runs/part.parquet"]})["raw_runs"] ==
"select null::varchar as run_id, ... where false union all by name select * from read_parquet(...)"
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from tasks.schemas import STAMP, TABLES, Row, Usage

_DUCKDB_TYPES: dict[Any, str] = {
    str: "varchar", int: "bigint", float: "double", bool: "boolean",
    dict[str, float]: "map(varchar, double)",
}  # fmt: skip
# Of every row, whatever its table; null where the table has no such column.
ALL_ROWS = "raw_rows"
_OF_ALL_ROWS = ("problem_id", *STAMP, *(item.name for item in fields(Usage)))


def raw_views(parts: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """View -> its query, over `parts` (table -> files); each reads those before it only."""
    views = {f"raw_{name}": _raw_view(row, parts.get(name, ())) for name, row in TABLES.items()}
    return {**views, ALL_ROWS: _all_rows()}


def _raw_view(row_type: type[Row], files: Sequence[str]) -> str:
    """An empty relation with the declared types, and under it the files, by column name.

    Files of one layout are read together: then DuckDB opens one of them to learn the columns, where
    `union_by_name` would open all, every time a view is bound.
    """
    columns = ", ".join(f"null::{kind} as {name}" for name, kind in columns_of(row_type).items())
    selects = [f"select {columns} where false"]
    for _, alike in groupby(sorted(files, key=_layout), key=_layout):
        quoted = ", ".join("'" + file.replace("'", "''") + "'" for file in alike)
        selects.append(f"select * from read_parquet([{quoted}])")
    return " union all by name ".join(selects)


def _all_rows() -> str:
    """What all tables have in common, so that a new one need not be named wherever rows count."""
    selects = []
    for table, row_type in TABLES.items():
        own = {*STAMP, row_type.key, *(item.name for item in fields(row_type))}
        if not issubclass(row_type, Usage):  # an invocation's num_requests were paid for by rows
            own -= {item.name for item in fields(Usage)}
        columns = [name if name in own else f"null as {name}" for name in _OF_ALL_ROWS]
        selects.append(
            f"select '{table}' as table_name, {row_type.key} as id, {', '.join(columns)}"
            f" from raw_{table}"
        )
    return " union all ".join(selects)


def _layout(file: str) -> str:
    """The third word of a part's name (parquet_parts.py): equal where the columns are."""
    return "".join(Path(file).name.split("-")[2:3])


def columns_of(row_type: type[Row]) -> dict[str, str]:
    """Column -> its type as DuckDB names it, in the order of the schema."""
    hints = get_type_hints(row_type)
    kinds: dict[str, Any] = {row_type.key: str, **{f.name: hints[f.name] for f in fields(row_type)}}
    kinds |= {name: kind for name, (kind, _) in STAMP.items()}
    return {name: _DUCKDB_TYPES[_plain(kind)] for name, kind in kinds.items()}


def _plain(kind: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        return next(arg for arg in get_args(kind) if arg is not type(None))
    return kind
