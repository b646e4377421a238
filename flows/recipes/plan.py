"""From a recipe and its inputs to a RunPlan: stages, models, fingerprints and the run's identity.

Invariant: planning reads files (prompts, weights, inputs: their hashes) but starts nothing, so a
missing file or model is one line before anything is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.recipes.recipe import Recipe, RecipeError
from infra.engines import EngineConfig, check_model, engine_identity, model_fingerprint
from infra.nano.files import resolve_nano
from infra.runs.fingerprints import decisive_settings, stage_fingerprint
from infra.runs.plan import TRAIN, RunPlan, StageRun
from tasks import difficulty
from tasks.catalog import STAGES, stages_of
from tasks.intake.sources import file_sha
from tasks.prompts import prompt_file
from tasks.schemas import Run as RunRow
from tasks.schemas import content_id
from tasks.stage import Stage

AnyStage = Stage[Any, Any]


def input_files(recipe: Recipe) -> dict[str, str]:
    """Input as named -> its hash (files) or the name itself (hub ids), train and eval alike."""
    return {
        name: file_sha(path) if _is_file(path := Path(resolve_nano(name))) else name
        for name in dict.fromkeys((*recipe.problems, *recipe.held_out()))
    }


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # its folder cannot be read: so say it, as for the file
        return True


def run_plan(recipe: Recipe) -> RunPlan:
    """Decide everything. Raises RecipeError, IngestError or ModelFilesError: one line each."""
    check_problems(recipe)
    plan = draft_plan(recipe)
    check_models(plan)
    return plan


def check_problems(recipe: Recipe) -> None:
    """Raises RecipeError where the recipe has none."""
    if not recipe.problems:
        raise RecipeError("no problems: give --problems FILE (or --rationales), or recipe.problems")


def check_models(plan: RunPlan) -> None:
    """Raises ModelFilesError where a model cannot be loaded on this machine."""
    asked = [config for stage in plan.stages.values() for config in stage.models.values()]
    trained = [plan.counter] if TRAIN in plan.fingerprints else []
    for config in dict.fromkeys([*asked, *trained]):
        check_model(config)


def draft_plan(recipe: Recipe) -> RunPlan:
    """The plan, whether or not its models and problems are here. Raises RecipeError."""
    reading = [
        decisive_settings(getattr(recipe, part), table=part) for part in ("source", "hygiene")
    ]
    files = content_id(input_files(recipe), *reading)
    inputs = content_id(files, recipe.limit)
    fingerprints = {"ingest": files}
    stages: dict[str, StageRun] = {}
    for name in recipe.stages:
        if name == TRAIN:
            fingerprints[name] = _train_fingerprint(recipe, fingerprints)
            continue
        for stage in stages_of(name):
            if not stage.is_wanted(getattr(recipe, name), recipe.stages):
                continue
            stages[stage.name] = _stage_run(stage, name, recipe, fingerprints, inputs=inputs)
            fingerprints[stage.name] = stages[stage.name].fingerprint
    resolved = json.dumps({"recipe": decisive_settings(recipe), "inputs": inputs})
    texts: dict[str, Any] = {
        "resolved": resolved,
        "fingerprints": json.dumps(fingerprints, sort_keys=True),
    }
    row = RunRow(recipe=recipe.name, versions="", **texts)
    return RunPlan(
        run_id=row.content_id(),
        recipe=recipe.name,
        resolved=resolved,
        settings=recipe.model_dump_json(),
        fingerprints=fingerprints,
        stages=stages,
        counter=recipe.models.student,
        seed=recipe.seed,
        train_gpus=0 if recipe.train.zero == "zero2-cpu" else recipe.train.num_ranks,
    )


def _stage_run(
    stage: AnyStage, table: str, recipe: Recipe, done: Mapping[str, str], *, inputs: str
) -> StageRun:
    config = getattr(recipe, table)
    models = _models(stage, recipe)
    _check_prompts(stage, table, config.prompt)
    return StageRun(
        stage=stage,
        config=config,
        models=models,
        fingerprint=stage_fingerprint(
            stage.name,
            config,
            table=table,
            models=_identities({**models, "counter": recipe.models.student}),
            prompts=stage.prompts,
            upstream=[done[name] for name in stage.upstream if name in done],
            seed=recipe.seed,
            inputs=_looks_across(stage, table, recipe, inputs),
            revision=stage.revision,
            sources=[*filter(None, [STAGES.entry(stage.name).sha]), *config.sources()],
        ),
    )


def _looks_across(stage: AnyStage, table: str, recipe: Recipe, inputs: str) -> str:
    """What of the other problems decides this stage's rows: a hash, empty where nothing does."""
    if stage.is_global and stage.phase == "corpus":
        return inputs
    reads_levels = difficulty.STAGE.name in stage.upstream and "difficulty" in recipe.stages
    if reads_levels and recipe.difficulty.thresholds == "quantile":  # of the problems of a shard
        return content_id(inputs, recipe.shard_size)
    return ""


def _check_prompts(stage: AnyStage, table: str, variant: str) -> None:
    try:
        for step in stage.prompts:
            prompt_file(step, variant)
    except ValueError as error:
        raise RecipeError(f"{table}.prompt: {error}") from None


def _models(stage: AnyStage, recipe: Recipe) -> dict[str, EngineConfig]:
    asked = stage.asked(recipe.settings_of(stage))
    models = {role: recipe.model_of(role) for role in asked}
    for role, config in models.items():
        if config is None:
            raise RecipeError(f"stage {stage.name!r} needs models.{role}")
    return {role: config for role, config in models.items() if config is not None}


def _identities(models: Mapping[str, EngineConfig]) -> dict[str, str]:
    """Role -> what of its engine decides the rows: weights and arithmetic, not where."""
    return {role: engine_identity(config) for role, config in models.items()}


def _train_fingerprint(recipe: Recipe, done: Mapping[str, str]) -> str:
    return stage_fingerprint(
        TRAIN,
        recipe.train,
        models={"student": model_fingerprint(recipe.models.student)},
        upstream=[done["mix"]] if "mix" in done else [],
    )
