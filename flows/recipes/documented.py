"""The tables of settings in docs/training.md, made from the settings themselves.

Invariant: what stands between the page's markers is made here and nowhere else; a setting without a
description is an error. `make docs` writes it, a test compares.

    <!-- settings of [train] -->
    | key | default | values | meaning |
    <!-- end -->
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from infra.training.config import TrainConfig
from tasks.evaluate import EvaluateConfig

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
TABLES: dict[str, type[BaseModel]] = {"train": TrainConfig, "evaluate": EvaluateConfig}
_MARKED = re.compile(r"(<!-- settings of \[(\w+)\] -->\n).*?(<!-- end -->)", re.S)
_BOUNDS = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
_WORDS: dict[Any, str] = {int: "number", float: "number", str: "text", bool: "true, false"}


def current(page: str) -> str:
    """`page` with its tables of settings made anew."""
    return _MARKED.sub(lambda m: f"{m[1]}{settings_table(TABLES[m[2]])}\n{m[3]}", page)


def settings_table(settings: type[BaseModel]) -> str:
    """A Markdown table, a row a key, tables in it by dotted keys."""
    rows = ["| key | default | values | meaning |", "|---|---|---|---|"]
    return "\n".join([*rows, *_rows(settings, "")])


def _rows(settings: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in settings.model_fields.items():
        if not field.description:
            raise ValueError(f"{settings.__name__}.{name} has no description")
        inner = _inner_table(field.annotation)
        default = _default(field)
        values = "a table" if inner else _values(field)
        meaning = field.description.replace("|", "\\|").replace("<", "&lt;")
        yield f"| `{prefix}{name}` | {default} | {values} | {meaning} |"
        if inner:
            yield from _rows(inner, f"{prefix}{name}.")


def _inner_table(kind: Any) -> type[BaseModel] | None:
    parts = [kind, *get_args(kind)]
    tables = [one for one in parts if isinstance(one, type) and issubclass(one, BaseModel)]
    return tables[0] if tables else None


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    return "unset" if value is None else f"`{json.dumps(value)}`"


def _values(field: FieldInfo) -> str:
    bounds = [
        f"{word} {getattr(one, name):g}"
        for one in field.metadata
        for name, word in _BOUNDS.items()
        if getattr(one, name, None) is not None
    ]
    return " ".join([_kind(field.annotation), *bounds])


def _kind(kind: Any) -> str:
    origin, parts = get_origin(kind), [one for one in get_args(kind) if one is not type(None)]
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in parts)
    if origin is tuple:
        return f"list of {_kind(parts[0])}"
    if origin in (Union, UnionType):
        return " or ".join(map(_kind, parts))
    return _WORDS[kind]


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
