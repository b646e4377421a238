"""A recipe's settings as a form: what Prefect's UI shows where a person starts a run by hand.

Role: a pydantic model with a table for every stage of a shipped recipe, its defaults the recipe's
own values, with the choices, bounds and descriptions of the recipe's schema; and back, what a
person changed as overrides. Invariants: a form left alone changes nothing; what JSON cannot say (an
infinite bound) is left to `other_changes`; what a form lets through is checked as any recipe is.

A sample:
    form = settings_form("nano")
    changes("nano", form(generate={"num_candidates": 8})) == ("generate.num_candidates=8",)
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from flows.recipes.loading import load_recipe
from flows.recipes.recipe import Recipe

STRICT = ConfigDict(extra="forbid")


def settings_form(name: str) -> type[BaseModel]:
    """Of a shipped recipe: a field for each of its stages' tables. Raises RecipeError."""
    recipe = load_recipe(name)
    tables = {table: _table(table, getattr(recipe, table)) for table in _tables(recipe)}
    fields = {
        table: (kind, Field(
            default=kind(), description=f"settings of the stage {table!r}",
            json_schema_extra=_place(place),
        ))
        for place, (table, kind) in enumerate(tables.items())
    }  # fmt: skip
    form: type[BaseModel] = create_model("Settings", __config__=STRICT, **fields)  # type: ignore[call-overload]
    return form


def changes(name: str, form: BaseModel) -> tuple[str, ...]:
    """What differs from the recipe, a `table.key=value` each."""
    before = load_recipe(name)
    wanted = form.model_dump(mode="json")
    return tuple(
        f"{table}.{key}={_toml(value)}"
        for table, values in wanted.items()
        for key, value in _differing(getattr(before, table).model_dump(mode="json"), values)
    )


def _tables(recipe: Recipe) -> Iterator[str]:
    return (name for name in dict.fromkeys(recipe.stages) if name in type(recipe).model_fields)


def _table(name: str, values: BaseModel) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for key, declared in type(values).model_fields.items():
        value = getattr(values, key)
        if isinstance(value, BaseModel) or (isinstance(value, float) and not math.isfinite(value)):
            continue
        field = copy(declared)
        field.json_schema_extra = _place(len(fields))
        field.default, field.default_factory = value, None
        fields[key] = (declared.annotation, field)
    table: type[BaseModel] = create_model(name.capitalize(), __config__=STRICT, **fields)
    return table


def _place(number: int) -> dict[str, Any]:
    """Where Prefect's UI shows a field; a database of JSONB keeps no order."""
    return {"position": number}


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """TOML has no null: a value cannot be taken away, only changed."""
    for key, value in after.items():
        if value is not None and before[key] != value:
            yield key, value


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
