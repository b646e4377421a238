"""What a recipe takes from outside: its plug-ins loaded, their stages given a table, and told.

Invariant: plug-ins are loaded before the recipe is checked, so that it may name what they bring.

A sample: plugins_in_use(recipe) == ["scorer brevity (./mine.py)"]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import create_model

from flows.recipes.recipe import Recipe
from tasks.answers.kinds import ANSWER_TYPES
from tasks.catalog import STAGES
from tasks.plugins import load_plugins
from tasks.prompts import is_own
from tasks.registry import REGISTRIES, Registry


def load_recipe_plugins(tree: Mapping[str, Any], *, beside: Path | None) -> None:
    """Load the files that `plugins` names. Raises PluginError; leaves a wrong type to the check."""
    named = tree.get("plugins", ())
    if isinstance(named, list) and all(isinstance(name, str) for name in named):
        load_plugins(named, beside=beside)


def recipe_type() -> type[Recipe]:
    """Recipe, with a table for every stage from outside."""
    outside = [STAGES[name] for name in STAGES if STAGES.entry(name).sha]
    tables: dict[str, Any] = {
        stage.settings: (stage.config, stage.config())
        for stage in outside
        if stage.settings not in Recipe.model_fields
    }
    return create_model("Recipe", __base__=Recipe, **tables) if tables else Recipe


def answer_type_sources(recipe: Recipe) -> list[str]:
    """Hashes of the answer types from outside by which its problems may be graded: those of its
    `plugins`, which a column of the data may name, and the one that it names for all problems."""
    return [
        entry.sha
        for name, entry in ANSWER_TYPES.entries.items()
        if entry.sha and (entry.origin in recipe.plugins or name == recipe.source.answer_type)
    ]


def plugins_in_use(recipe: Recipe) -> list[str]:
    """What of the recipe is from outside: kind, name, where it is from."""
    names = set(_names_used(recipe))
    return [
        f"{registry.kind} {name} ({entry.origin})"
        for registry in REGISTRIES
        for name, entry in registry.entries.items()
        if entry.sha and (entry.origin in recipe.plugins or (registry.kind, name) in names)
    ]


def own_prompts(recipe: Recipe) -> list[str]:
    """Prompts that are files of the user's: "rewrite (shorter.jinja)"."""
    found = []
    for stage in recipe.all_stages():
        for use in stage.prompts:
            name = stage.prompt_name(use.step, recipe.settings_of(stage))
            if is_own(name):
                found.append(f"{use.step} ({Path(name).name})")
    return list(dict.fromkeys(found))


def _names_used(recipe: Recipe) -> Iterator[tuple[str, str]]:
    yield "compression method", recipe.compress.method
    for stage in recipe.all_stages():
        yield "stage", stage.name
    for config in recipe.roles().values():
        yield "engine", config.engine
    for name in recipe.score.scorers:
        yield "scorer", name
    if recipe.source.answer_type:
        yield "answer type", recipe.source.answer_type


def all_extensions() -> list[tuple[str, str, str]]:
    """Kind, name and origin of everything there is."""
    return [
        (registry.kind, name, entry.origin)
        for registry in sorted(REGISTRIES, key=_kind)
        for name, entry in registry.entries.items()
    ]


def _kind(registry: Registry[Any]) -> str:
    return registry.kind
