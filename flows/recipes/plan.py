"""From a recipe and its inputs to a RunPlan: stages, models, fingerprints and the run's identity.

Invariant: planning reads files (prompts, weights, inputs: their hashes) but starts nothing, so a
missing file or model is one line before anything is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.recipes.extensions import answer_type_sources
from flows.recipes.paths import store_names
from flows.recipes.queries import query_faults
from flows.recipes.recipe import Recipe, RecipeError
from flows.recipes.templates import prompt_faults, prompt_notes
from infra.engines import (
    EngineConfig,
    check_model,
    engine_identity,
    model_fingerprint,
    model_name,
)
from infra.nano.files import PREFIX, resolve_nano
from infra.runs.fingerprints import decisive_settings, stage_fingerprint
from infra.runs.plan import TRAIN, TRAIN_REVISION, RunPlan, StageRun
from infra.training.config import BATCH_SETTINGS, RUNTIME_SETTINGS
from tasks import difficulty
from tasks.benchmarks import is_benchmark, load_benchmark
from tasks.catalog import STAGES, stages_of
from tasks.intake.sources import file_sha, is_saved_dataset
from tasks.schemas import Run as RunRow
from tasks.schemas import content_id
from tasks.stage import Stage, StageConfig

AnyStage = Stage[Any, Any]


def input_hashes(recipe: Recipe) -> dict[str, str]:
    """Input as named -> the hash of its file, of train and eval alike; hub ids are not in it."""
    return {
        name: benchmark_sha(name) if is_benchmark(name) else file_sha(path)
        for name in dict.fromkeys((*recipe.problems, *recipe.held_out()))
        if is_benchmark(name) or _is_file(path := Path(resolve_nano(name)))
    }


def benchmark_sha(name: str) -> str:
    """Of what its file says and, where its data are a file too, of what they hold."""
    told = load_benchmark(name)
    data = file_sha(told.data) if _is_file(Path(told.data)) else told.data
    return content_id(told.model_copy(update={"data": data}).model_dump_json())


def own_files(hashes: Mapping[str, str]) -> dict[str, str]:
    """Of these, the user's: a file is what it holds, however it is named and wherever it lies."""
    own = (name for name in hashes if not name.startswith(PREFIX))
    return {name: f"sha256:{hashes[name]}" for name in own}


def input_files(recipe: Recipe, hashes: Mapping[str, str]) -> dict[str, str]:
    """Input -> its hash, or the name itself (hub ids)."""
    own = own_files(hashes)
    names = (*recipe.problems, *recipe.held_out())
    return {own.get(name, name): hashes.get(name, name) for name in names}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file() or is_saved_dataset(path)
    except OSError:  # its folder cannot be read: so say it, as for the file
        return True


def run_plan(recipe: Recipe) -> RunPlan:
    """Decide everything. Raises RecipeError, IngestError or ModelFilesError: one line each."""
    check_problems(recipe)
    plan = draft_plan(recipe)
    check_models(plan)
    return plan


def training_plan(recipe: Recipe) -> RunPlan:
    """The same plan, where of its models only the student has to be here. Raises as `run_plan`."""
    check_problems(recipe)
    plan = draft_plan(recipe)
    check_model(plan.counter)
    return plan


def check_problems(recipe: Recipe) -> None:
    """Raises RecipeError where the recipe has none."""
    if recipe.makes_data and not recipe.problems:
        raise RecipeError("no problems: give --problems FILE (or --rationales), or recipe.problems")


def check_models(plan: RunPlan) -> None:
    """Raises ModelFilesError where a model cannot be loaded on this machine."""
    asked = [config for stage in plan.stages.values() for config in stage.models.values()]
    trained = [plan.counter] if TRAIN in plan.fingerprints else []
    for config in dict.fromkeys([*asked, *trained]):
        check_model(config)


def draft_plan(recipe: Recipe) -> RunPlan:
    """The plan, whether or not its models and problems are here. Raises RecipeError."""
    check_prompts(recipe)
    check_queries(recipe)
    hashes = input_hashes(recipe)
    own = own_files(hashes)
    nameless = _nameless(recipe, own)
    reading = [
        decisive_settings(getattr(nameless, part), table=part) for part in ("source", "hygiene")
    ]
    files = content_id(input_files(recipe, hashes), *reading)
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
            made = _stage_run(stage, nameless, fingerprints, inputs=inputs)
            stages[stage.name] = replace(
                made, config=getattr(recipe, name), names=_names(stage, recipe)
            )
            fingerprints[stage.name] = made.fingerprint
    stored = _stored(recipe, own, stages)
    resolved = json.dumps({"recipe": stored, "inputs": inputs})
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
        train_gpus=0 if recipe.train.device == "cpu" else recipe.train.num_ranks,
    )


def check_prompts(recipe: Recipe) -> None:
    """Raises RecipeError with all that is wrong with the prompts of its stages, a line each."""
    faults = [
        fault
        for stage in recipe.all_stages()
        for fault in prompt_faults(stage, stage.settings, recipe.settings_of(stage))
    ]
    if faults:
        raise RecipeError("\n  ".join(dict.fromkeys(faults)))


def check_queries(recipe: Recipe) -> None:
    """Raises RecipeError with all that is wrong with queries from outside, a line each."""
    if faults := query_faults(recipe):
        raise RecipeError("\n  ".join(faults))


def notes_on_prompts(recipe: Recipe) -> list[str]:
    """What is odd about them, and may be meant. Its prompts have no faults."""
    notes = (
        note
        for stage in recipe.all_stages()
        for note in prompt_notes(stage, stage.settings, recipe.settings_of(stage))
    )
    return list(dict.fromkeys(notes))


def _nameless(recipe: Recipe, own: Mapping[str, str]) -> Recipe:
    """The recipe with what its data files hold instead of their names: what fingerprints hash."""

    def held(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(own.get(name, name) for name in names)

    evaluate = {"problems": held(recipe.evaluate.problems)}
    hygiene = {"evaluation_sets": held(recipe.hygiene.evaluation_sets)}
    return recipe.model_copy(
        update={
            "evaluate": recipe.evaluate.model_copy(update=evaluate),
            "hygiene": recipe.hygiene.model_copy(update=hygiene),
        }
    )


def _stored(
    recipe: Recipe, own: Mapping[str, str], stages: Mapping[str, StageRun]
) -> dict[str, Any]:
    """What identifies the run, as JSON, without paths."""
    as_json = decisive_settings(recipe)
    labels = {
        f"{stage.settings}.{use.setting}": stages[stage.name].prompts[use.step].label
        for stage in recipe.all_stages()
        for use in stage.prompts
    }
    store_names(as_json, hashes=own, prompts=labels)
    return as_json


def _stage_run(
    stage: AnyStage, recipe: Recipe, done: Mapping[str, str], *, inputs: str
) -> StageRun:
    config = recipe.settings_of(stage)
    models = _models(stage, recipe)
    prompts = stage.load_prompts(config)
    return StageRun(
        stage=stage,
        config=config,
        models=models,
        prompts=prompts,
        fingerprint=stage_fingerprint(
            stage.name,
            config,
            table=stage.settings,
            without=config.which_records(),
            models=_identities({**models, "counter": recipe.models.student}),
            prompts={use.setting: prompts[use.step] for use in stage.prompts},
            upstream=[done[name] for name in upstream_of(stage, config) if name in done],
            seed=recipe.seed,
            inputs=_looks_across(stage, recipe, inputs),
            revision=stage.revision,
            sources=[
                *filter(None, [STAGES.entry(stage.name).sha]),
                *config.sources(),
                *(answer_type_sources(recipe) if stage.grades else ()),
            ],
        ),
    )


def upstream_of(stage: AnyStage, config: StageConfig) -> list[str]:
    """The stages whose rows it reads: those it names, and those from outside that make a kind of
    chain its settings name."""
    makers = [
        maker.name for maker in STAGES.values() if set(maker.makes) & set(config.read_kinds())
    ]
    return list(dict.fromkeys([*stage.upstream, *makers]))


def _looks_across(stage: AnyStage, recipe: Recipe, inputs: str) -> str:
    """What of the other problems decides this stage's rows: a hash, empty where nothing does."""
    if stage.is_global and stage.phase == "corpus":
        return inputs
    reads_levels = difficulty.STAGE.name in stage.upstream and "difficulty" in recipe.stages
    if reads_levels and recipe.difficulty.thresholds == "quantile":  # of the problems of a shard
        return content_id(inputs, recipe.shard_size)
    return ""


def _models(stage: AnyStage, recipe: Recipe) -> dict[str, EngineConfig]:
    asked = stage.asked(recipe.settings_of(stage))
    models = {role: recipe.model_of(role) for role in asked}
    for role, config in models.items():
        if config is None:
            raise RecipeError(f"stage {stage.name!r} needs models.{role}")
    return {role: config for role, config in models.items() if config is not None}


def _names(stage: AnyStage, recipe: Recipe) -> dict[str, str]:
    """Role -> what its model is called in the rows of an evaluation, if not as it was named."""
    if stage.phase != "evaluation" or stage.asks_trained:
        return {}
    return {"student": recipe.evaluate.name or model_name(recipe.models.student)}


def _identities(models: Mapping[str, EngineConfig]) -> dict[str, str]:
    """Role -> what of its engine decides the rows: weights and arithmetic, not where."""
    return {role: engine_identity(config) for role, config in models.items()}


def _train_fingerprint(recipe: Recipe, done: Mapping[str, str]) -> str:
    """The same however many ranks, of whatever device, share a batch."""
    return stage_fingerprint(
        TRAIN,
        recipe.train,
        without=(*RUNTIME_SETTINGS, *BATCH_SETTINGS),
        instead={"batch_size": recipe.train.batch_size, "batching": recipe.train.how_batched},
        revision=TRAIN_REVISION,
        models={"student": model_fingerprint(recipe.models.student)},
        upstream=[done["mix"]] if "mix" in done else [],
    )
