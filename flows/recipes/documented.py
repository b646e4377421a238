"""docs/settings.md, and the tables of settings in docs/training.md, made from the settings.

Invariant: that page, and what stands between the markers of the other, is made here and nowhere
else; a setting without a description is an error. `make docs` writes it, a test compares.

    <!-- settings of [train] -->
    | key | default | values | meaning |
    <!-- end -->
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo

from flows.recipes.recipe import Recipe
from infra.engines import EngineConfig
from infra.training.config import TrainConfig
from tasks.evaluate import EvaluateConfig

DOCS = Path(__file__).parents[2] / "docs"
PAGE, SETTINGS_PAGE = DOCS / "training.md", DOCS / "settings.md"
TABLES: dict[str, type[BaseModel]] = {"train": TrainConfig, "evaluate": EvaluateConfig}
_BEGINNING = """\
# Settings of a recipe

Every key of a recipe's file, made from the code (`make docs`). A table may be left out: its
defaults count. On the command line a key is `--set generate.num_candidates=8`. What the stages do:
[recipes.md](recipes.md); where a run computes is not here but in variables
([commands.md](commands.md#settings-of-the-environment)). `litecot recipes show nano` prints a
recipe's file.
"""
_MARKED = re.compile(r"(<!-- settings of \[(\w+)\] -->\n).*?(<!-- end -->)", re.S)
_BOUNDS = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
_WORDS: dict[Any, str] = {
    Any: "anything", int: "number", float: "number", str: "text", bool: "true, false",
}  # fmt: skip


def current(page: str) -> str:
    """`page` with its tables of settings made anew."""
    return _MARKED.sub(lambda m: f"{m[1]}{settings_table(TABLES[m[2]])}\n{m[3]}", page)


def settings_table(settings: type[BaseModel]) -> str:
    """A Markdown table, a row a key, tables in it by dotted keys."""
    rows = ["| key | default | values | meaning |", "|---|---|---|---|"]
    return "\n".join([*rows, *_rows(settings, "")])


def settings_page() -> str:
    """All tables of a recipe, a heading each."""
    fields = Recipe.model_fields
    tables = {
        name: kind for name, field in fields.items() if (kind := _inner_table(field.annotation))
    }
    tables["models"] = EngineConfig
    top = create_model(
        "Top", **{name: (one.annotation, one) for name, one in fields.items() if name not in tables}
    )  # type: ignore[call-overload]
    parts = [_BEGINNING, f"## Above all tables\n\n{settings_table(top)}\n"]
    for name, kind in tables.items():
        heading = "models.ROLE" if kind is EngineConfig else name
        parts.append(f"## [{heading}]\n\n{settings_table(kind)}\n")
    return "\n".join(parts)


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
            by_role = "ROLE." if get_origin(field.annotation) is dict else ""
            yield from _rows(inner, f"{prefix}{name}.{by_role}")


def _inner_table(kind: Any) -> type[BaseModel] | None:
    parts = [kind, *get_args(kind)]
    tables = [one for one in parts if isinstance(one, type) and issubclass(one, BaseModel)]
    return tables[0] if tables else None


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "to be given"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "as below"
    if isinstance(value, float) and math.isinf(value):
        return "none"
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
    if origin is dict:
        return f"{_kind(parts[1])} by {_kind(parts[0])}"
    if origin is Annotated:
        return _kind(parts[0])
    if origin is tuple:
        return f"list of {_kind(parts[0])}"
    if origin in (Union, UnionType):
        return " or ".join(map(_kind, parts))
    return _WORDS[kind]


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    SETTINGS_PAGE.write_text(settings_page(), encoding="utf-8")
