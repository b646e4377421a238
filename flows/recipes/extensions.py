"""What a recipe takes from outside: its plug-ins loaded, their stages given a table, and told.

Invariant: plug-ins are loaded before the recipe is checked, so that it may name what they bring.

A sample: plugins_in_use(recipe) == ["scorer brevity (./mine.py)"]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError, create_model

from flows.recipes.order import INGEST, origin_of, stage_order
from flows.recipes.recipe import Recipe
from infra.runs.plan import TRAIN
from tasks.answers.kinds import ANSWER_TYPES
from tasks.catalog import STAGES
from tasks.plugins import load_plugins
from tasks.prompts import is_own
from tasks.registry import REGISTRIES, PluginError, Registry
from tasks.stage import Stage


def load_recipe_plugins(tree: Mapping[str, Any], *, beside: Path | None) -> None:
    """Load the files that `plugins` names. Raises PluginError; leaves a wrong type to the check."""
    named = tree.get("plugins", ())
    if isinstance(named, list) and all(isinstance(name, str) for name in named):
        load_plugins(named, beside=beside)


def recipe_type() -> type[Recipe]:
    """Recipe, with a table for every stage from outside. Raises PluginError where one of them
    cannot be a stage beside the others."""
    tables: dict[str, Any] = {}
    sharing: dict[str, Stage[Any, Any]] = {}  # table -> the first stage that it configures
    for stage in (STAGES[name] for name in STAGES if STAGES.entry(name).sha):
        first = sharing.setdefault(stage.settings, stage)
        if fault := _misfit(stage, first):
            raise PluginError(f"{origin_of(stage)}: {fault}")
        tables[stage.settings] = (stage.config, _defaults(stage))
    stage_order()
    return create_model("Recipe", __base__=Recipe, **tables) if tables else Recipe


def _misfit(stage: Stage[Any, Any], first: Stage[Any, Any]) -> str:
    """Why it cannot stand beside ours and `first` of its table; empty where it can."""
    for key, name in (("name", stage.name), ("table", stage.settings)):
        if name in (INGEST, TRAIN) or name in Recipe.model_fields or hasattr(Recipe, name):
            return f"the {key} {name!r} is taken by litecot itself: give it another"
    if not stage.query:
        return "it has no query: a stage from outside brings the text of its own"
    places = {STAGES.entry(one.name).origin for one in (stage, first)}
    if len(places) > 1 or first.config is not stage.config:
        return (
            f"table {stage.settings!r} is that of {origin_of(first)}: only stages of one file "
            "with one config share a table"
        )
    return ""


def _defaults(stage: Stage[Any, Any]) -> Any:
    try:
        return stage.config()
    except ValidationError as error:
        told = " ".join(error.errors()[0]["msg"].split())
        name = stage.config.__name__
        raise PluginError(f"{origin_of(stage)}: the defaults of {name}: {told}") from None


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
