"""Reads a recipe: a shipped name or a TOML file, with the command line's changes applied.

Invariant: whatever is wrong with it is one line a key, naming key and remedy, before any model
loads.

A sample: `load_recipe("nano", overrides=["generate.num_candidates=8"], seed=3)`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from flows.recipes.extensions import load_recipe_plugins, recipe_type
from flows.recipes.paths import anchor
from flows.recipes.recipe import Recipe, RecipeError
from infra.engines import ENGINES

FOLDER = Path(__file__).parent


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of the recipes that come with the package."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def recipe_file(name: str) -> Path:
    """A shipped recipe's name or a TOML file's path -> the file."""
    shipped = shipped_recipes()
    if name in shipped:
        return shipped[name]
    path = Path(name).expanduser()
    if path.suffix == ".toml":
        if path.is_file():
            return path
        raise RecipeError(f"no recipe file {name}")
    raise RecipeError(f"no recipe {name!r}; shipped are {', '.join(shipped)}, or give a .toml file")


def load_recipe(name: str, *, overrides: Sequence[str] = (), **fields: Any) -> Recipe:
    """Read, override (`key=value`, dotted, the value in TOML), set `fields` not None, and check.

    Paths in the file are relative to it, others to the working directory. Raises RecipeError,
    PluginError.
    """
    path = recipe_file(name)
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise RecipeError(f"{path}: {error}") from error
    anchor(tree, path.parent)
    for override in overrides:
        _apply(tree, override)
    tree.update({key: value for key, value in fields.items() if value is not None})
    anchor(tree, Path())
    is_own = path.parent != FOLDER and not any(o.strip().startswith("plugins") for o in overrides)
    load_recipe_plugins(tree, beside=path.parent if is_own else None)
    try:
        recipe = recipe_type().model_validate(tree)
    except ValidationError as error:
        raise RecipeError("\n  ".join(_lines(path.name, error))) from None
    for key in _nan_keys(recipe.model_dump()):
        raise RecipeError(f"recipe {path.name}: {key}: nan is no value, nothing compares with it")
    return recipe


def _nan_keys(tree: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _nan_keys(value, f"{above}{name}.")
        elif any(each != each for each in (value if isinstance(value, tuple | list) else (value,))):
            yield f"{above}{name}"


def _apply(tree: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise RecipeError(f"--set {override!r}: write key=value, e.g. generate.num_candidates=8")
    *parents, last = key.strip().split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise RecipeError(f"--set {override!r}: {parent!r} is a value, not a table")
    tree[last] = _value(text.strip())
    if parents[:1] == ["models"] and last == "engine":  # another engine's options go with it
        for table in (*ENGINES, "options"):
            if table != tree[last]:
                tree.pop(table, None)


def _value(text: str) -> Any:
    """A TOML value, or the text itself where it is not one (so quotes are not needed)."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _lines(name: str, error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        text = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            text = f"unknown key; {_known_keys(item['loc'][:-1])}"
        lines.append(f"recipe {name}: {key + ': ' if key else ''}{text}")
    return lines


def _known_keys(parents: tuple[int | str, ...]) -> str:
    model: Any = recipe_type()
    for parent in parents:
        model = (
            model.model_fields[str(parent)].annotation if hasattr(model, "model_fields") else None
        )
        candidates = [model, *get_args(model)]
        model = next((c for c in candidates if hasattr(c, "model_fields")), None)
        if model is None:
            return "remove it"
    return f"known are {', '.join(sorted(model.model_fields))}"
