"""How a value of DuckDB is spelt in a table, in CSV and in JSON.

Invariants: JSON is valid JSON and loses no value and no column; what is nested is JSON in CSV and
in tables too, never Python; nothing a terminal would obey comes through in any of them.

    cell([1, 2, None]) == "[1, 2, null]" · unique_names(["a", "a"]) == ["a", "a_1"]
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from flows.progress.text import json_safe, plain

_PRINTABLE = range(0x20, 0x7F)


def cell(value: object) -> str:
    """One cell of a table or of CSV; empty for null."""
    if isinstance(value, dict | list | tuple):
        return json_text(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    return plain(blob_text(value) if isinstance(value, bytes) else value)


def json_text(value: object, *, indent: int | None = None) -> str:
    """Valid JSON (RFC 8259) without a control code, in UTF-8 else."""
    text = json.dumps(json_value(value), ensure_ascii=False, allow_nan=False, indent=indent)
    return json_safe(text)


def json_value(value: object) -> Any:
    """As DuckDB's own JSON has it: NaN and infinity are null, dates and blobs text, decimals
    numbers (text where a double would change their digits), keys of maps text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, bytes):
        return blob_text(value)
    if isinstance(value, dict):
        return {_key(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    return str(value)


def blob_text(value: bytes) -> str:
    r"""As DuckDB writes a blob: b"a\x00" is a\x00."""
    return "".join(
        chr(byte) if byte in _PRINTABLE and byte != ord("\\") else f"\\x{byte:02X}"
        for byte in value
    )


def _decimal(value: Decimal) -> int | float | str:
    if not value.as_tuple().exponent:
        return int(value)
    number = float(value)
    return number if Decimal(repr(number)) == value else f"{value:f}"


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    value = json_value(key)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def unique_names(columns: Sequence[str]) -> list[str]:
    """`columns`, the later ones of a name with a number as in DuckDB's subqueries: a, a_1, a_2."""
    taken, names = set(columns), []
    for position, name in enumerate(columns):
        unique, number = name, 0
        while unique in taken and (number or name in columns[:position]):
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique)
        names.append(unique)
    return names
