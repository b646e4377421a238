"""What a run needs and is not there: all of it at once, each in one line with its remedy.

Invariant: looks, loads nothing. A recipe that is wrong in itself is a RecipeError before this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from flows.recipes.plan import check_problems, draft_plan
from flows.recipes.recipe import Recipe, RecipeError
from infra.engines import EngineConfig, ModelFilesError, check_model
from infra.engines.model_size import size_of
from infra.hosting.nodes import nodes as nodes_here
from infra.nano.files import resolve_nano
from infra.placement.footprints import footprint
from infra.placement.plan import Node, Placement, PlacementError, PlacementMode
from infra.runs.plan import RunPlan
from tasks.benchmarks import BenchmarkError
from tasks.errors import UsageError
from tasks.intake.problems import SourceConfig, resolve_questions, resolve_sources
from tasks.intake.sources import IngestError, find_sources


def ready_placement(recipe: Recipe, mode: PlacementMode) -> Placement:
    """Where the run's models go. Raises RecipeError, or UsageError with everything missing."""
    faults = [*faults_of_inputs(recipe.problems, recipe.source), *faults_here(recipe)]
    plan = draft_or_faults(recipe, faults)
    placement, misplaced = place_or_faults(recipe, plan, nodes_here(), mode)
    faults += misplaced
    if placement is None or faults:
        raise missing(faults)
    return placement


def place_or_faults(
    recipe: Recipe, plan: RunPlan, nodes: Sequence[Node], mode: PlacementMode
) -> tuple[Placement | None, list[str]]:
    """The placement, or what cannot fit: each model that is too large, else all together."""
    try:
        return plan.place(nodes, mode=mode), []
    except PlacementError as error:
        return None, _misplaced(recipe, nodes) or [str(error)]


def _misplaced(recipe: Recipe, nodes: Sequence[Node]) -> list[str]:
    role_of: dict[EngineConfig, str] = {}
    for role, config in recipe.roles().items():
        role_of.setdefault(config, role)
    return [
        fault
        for config, role in role_of.items()
        if config.engine_type.is_hosted
        for fault in _fault(
            partial(footprint, config, role=role, size=size_of(config), nodes=nodes)
        )
    ]


def draft_or_faults(recipe: Recipe, faults: Sequence[str]) -> RunPlan:
    """The plan whether or not its parts are here. Raises RecipeError, or UsageError (`faults`)."""
    try:
        return draft_plan(recipe)
    except (
        ModelFilesError,
        IngestError,
        BenchmarkError,
    ) as error:  # a local folder or file is not there
        raise missing([*faults, str(error)]) from None


def missing(faults: Sequence[str]) -> UsageError:
    """One line where it is one thing, else a list."""
    named = list(dict.fromkeys(faults))
    if len(named) == 1:
        return UsageError(named[0])
    return UsageError("\n  ".join([f"{len(named)} things are missing or wrong", *named]))


def faults_of_inputs(
    names: Sequence[str], config: SourceConfig, *, ask_hub: bool = True
) -> list[str]:
    """Of each input by itself, then of all together (one named twice, say).

    Without `ask_hub` a name that is no file here is taken for a hub data set and believed.
    """
    locations = [resolve_nano(name) for name in names]
    if not ask_hub:
        locations = [location for location in locations if not _is_hub_id(location)]
    faults = [
        fault
        for location in locations
        for fault in _fault(partial(resolve_sources, [location], config))
    ]
    return faults or (_fault(partial(resolve_sources, locations, config)) if locations else [])


def faults_here(recipe: Recipe, *, ask_hub: bool = True) -> list[str]:
    """Of what is to be found on this machine: problems at all, held-out problems, models."""
    held_out = SourceConfig(candidates="ignore")
    faults = _fault(partial(check_problems, recipe))
    faults += faults_of_inputs(recipe.evaluate.problems, held_out, ask_hub=ask_hub)
    looked_at = [resolve_nano(name) for name in recipe.hygiene.evaluation_sets]
    for location in looked_at if ask_hub else [name for name in looked_at if not _is_hub_id(name)]:
        faults += _fault(partial(resolve_questions, [location]))
    return faults + [
        fault
        for config in dict.fromkeys(recipe.roles().values())
        for fault in _fault(partial(check_model, config))
    ]


def is_read_from_hub(recipe: Recipe) -> bool:
    """Whether anything that its ingest reads has to be asked for over the network."""
    names = (*recipe.problems, *recipe.held_out())
    return any(_is_hub_id(resolve_nano(name)) for name in names)


def _is_hub_id(location: str) -> bool:
    try:
        return find_sources([location])[0].kind == "hub"
    except IngestError:
        return False


def _fault(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except (RecipeError, IngestError, BenchmarkError, ModelFilesError, PlacementError) as error:
        return [str(error)]
    return []
