"""From a step's row to what is stored: the id, the row's columns, the stamp.

Invariant: what passes here fits the table's Arrow schema, so folding the journal cannot fail on a
value: types are checked, lone surrogates become "?", integers fit 64 bits, NaN and inf stay; a map
is the list of its entries, for Arrow reads no map from JSON.

    Score(rd=nan, ...) -> {"score_id": "77b1...", ..., "rd": nan, "run_id": ..., "created_at": ...}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache
from operator import index
from typing import Any, get_args, get_type_hints

from tasks.schemas import TABLES, Row

Stored = dict[str, Any]  # column -> JSON value; the keys are those of arrow_schema(row_type)


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """Who made a row, from what: see tasks.schemas.STAMP."""

    run_id: str
    stage_fingerprint: str
    input_id: str


def stamped(row: Row, stamp: Stamp) -> Stored:
    """`row` as it is stored. Raises ValueError naming the column whose value does not fit."""
    own = _own_columns(row)
    row_id = row.content_id(stamp.stage_fingerprint)
    if row.key == "run_id" and row_id != stamp.run_id:
        raise ValueError(f"runs.run_id: {stamp.run_id} is not the row's own id, {row_id}")
    return {
        row.key: row_id,
        **own,
        "run_id": stamp.run_id,
        "stage_fingerprint": stamp.stage_fingerprint,
        "input_id": clean(stamp.input_id),
        "created_at": datetime.now(UTC).isoformat(timespec="microseconds"),
    }


def clean(text: str) -> str:
    """`text` without lone surrogates, which no UTF-8 file can hold."""
    return text.encode(errors="replace").decode()


def encode(tables: Mapping[str, list[Stored]]) -> str:
    return json.dumps(tables, separators=(",", ":"))


def decode(body: str) -> dict[str, list[Stored]]:
    tables: dict[str, list[Stored]] = json.loads(body)
    return tables


def row_number(table: str, row: Stored) -> int:
    """The row's id as the signed 64-bit integer the journal indexes."""
    return id_number(row[TABLES[table].key])


def id_number(row_id: str) -> int:
    return int.from_bytes(bytes.fromhex(row_id), "big", signed=True)


def _own_columns(row: Row) -> Stored:
    stored: Stored = {}
    for name, (fit, optional) in _columns(row.table).items():
        value = getattr(row, name)
        if value is None and optional:
            stored[name] = None
            continue
        try:
            stored[name] = fit(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{row.table}.{name}: {value!r} does not fit, {error}") from error
    return stored


@cache
def _columns(table: str) -> dict[str, tuple[Callable[[Any], Any], bool]]:
    row_type = TABLES[table]
    hints = get_type_hints(row_type)
    columns = {}
    for declared in fields(row_type):
        hint = hints[declared.name]
        kinds = [kind for kind in get_args(hint) if kind is not type(None)] or [hint]
        columns[declared.name] = (_FIT[kinds[0]], kinds[0] is not hint)
    return columns


def _fit_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return clean(value)


def _fit_integer(value: Any) -> int:
    number = index(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError("not a 64-bit integer")
    return number


def _fit_float(value: Any) -> float:
    if isinstance(value, str):
        raise TypeError("not a number")
    return float(value)


def _fit_map(value: Any) -> list[Stored]:
    if not isinstance(value, Mapping):
        raise TypeError("not a map")
    return [{"key": _fit_text(key), "value": _fit_float(number)} for key, number in value.items()]


_FIT: dict[Any, Callable[[Any], Any]] = {
    str: _fit_text, int: _fit_integer, float: _fit_float, bool: bool, dict[str, float]: _fit_map
}  # fmt: skip
