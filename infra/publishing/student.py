"""A trained student as a folder that other people load: weights, tokenizer and a model card.

Invariant: the folder appears whole or not at all and holds what was trained, byte for byte; the
card's figures are the corpus' rows, and no path of this machine is in it.

    student/README.md            the model card
    student/model.safetensors    weights; config.json, tokenizer.json, ... beside them
    student/provenance.json      the model's row and its run
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from infra.publishing.card import cell, told_together
from infra.publishing.licences import UNKNOWN, base_licence, identifier
from infra.publishing.methods import methods
from infra.publishing.public_names import PublicNames, public_name, public_settings
from infra.publishing.snapshot import (
    PublishError,
    check_folder,
    check_sources,
    public_run,
    source_licences,
    stored_recipe,
)
from infra.publishing.usage import python_lines, usage_of
from infra.storage.checksums import SUMS, folder_faults
from infra.storage.names import checked_name
from infra.storage.store import Store
from sql.database import Database
from tasks.intake.sources import is_file_name

NOT_PUBLISHED = {SUMS, "README.md", "training.log", "progress.jsonl"}
THERE = Path("path/to/this/folder")  # where a reader has it


@dataclass(frozen=True, kw_only=True)
class PublishedStudent:
    """What was written."""

    folder: Path
    model_id: str
    base: str
    base_licence: str
    unlicensed: tuple[str, ...]  # sources whose licence nobody stated


def write_student(
    database: Database,
    store: Store,
    folder: Path,
    *,
    model: str | None = None,
    licence: str | None = None,
    licences: Mapping[str, str],
) -> PublishedStudent:
    """The student `model` (an id or its start; None: the latest) of the selected run in `folder`.

    `licence`: of its base; `licences`: source -> its licence. Raises PublishError.
    """
    check_folder(folder)
    check_sources(database, licences)
    row = _chosen(database, model)
    weights = _weights(store, row)
    known = source_licences(database, licences)
    of_base = base_licence(row["base"], licence)
    card = _card(database, row, weights, known, of_base)
    growing = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    try:
        shutil.copytree(weights, growing, ignore=lambda _, names: NOT_PUBLISHED.intersection(names))
        (growing / "README.md").write_text(card, encoding="utf-8")
        (growing / "provenance.json").write_text(_provenance(database, row), encoding="utf-8")
        os.rename(growing, folder)
    except (OSError, shutil.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise PublishError(f"{folder}: {why}; nothing was left there") from error
    finally:
        shutil.rmtree(growing, ignore_errors=True)
    return PublishedStudent(
        folder=folder,
        model_id=row["model_id"],
        base=row["base"],
        base_licence=of_base,
        unlicensed=tuple(source for source, one in known.items() if one == UNKNOWN),
    )


def _chosen(database: Database, model: str | None) -> dict[str, Any]:
    rows = database.run_file("analyses", "published_models").records()
    if not rows:
        raise PublishError("the run has trained no student: run a recipe with the stage train")
    found = [row for row in rows if row["model_id"].startswith(model or "")]
    if model is not None and len(found) != 1:
        have = ", ".join(row["model_id"] for row in rows)
        said = "is no student of this run" if not found else "is the start of several ids"
        raise PublishError(f"--model {model} {said}; its students are {have} (--run: others)")
    return found[0]


def _weights(store: Store, row: Mapping[str, Any]) -> Path:
    path = row["path"]
    checked_name(path, of=f"{store}, a row of raw_models", below="weights")
    with store.explained():
        if not store.fetch(path):
            raise PublishError(f"the weights {path} are gone: run the recipe again to train them")
        if faults := folder_faults(store.folder / path):
            raise PublishError(f"{faults[0]}: run the recipe again, or publish another student")
    folder: Path = store.folder / path
    return folder


def _environment(**filters: Any) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown; what comes from outside goes through `cell`
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": cell, **filters}
    return environment


def _card(
    database: Database,
    row: Mapping[str, Any],
    weights: Path,
    licences: Mapping[str, str],
    of_base: str,
) -> str:
    recipe, run = stored_recipe(database), public_run(database)
    names = PublicNames(recipe, licences)
    environment = _environment(
        source=names.source, duration=_duration, gib=_gib,
        loss=lambda value: "" if value is None else f"{value:.4f}",
    )  # fmt: skip
    facts = {
        name: database.run_file("analyses", f"published_{name}").records()
        for name in ("sources", "prompts", "filters", "evaluation", "curve")
    }
    prompts, filters = facts.pop("prompts"), facts.pop("filters")
    base = names.model(row["base"]) or ""
    usage = usage_of(weights)
    writers = sorted({names.model(one["model"]) or "" for one in prompts if one["num_published"]})
    return environment.get_template("model_card.md.jinja").render(
        model=row,
        base=base,
        base_is_on_hub="/" in base and base == row["base"],
        base_licence=of_base,
        license=identifier({"base": of_base}),
        datasets=[one for one in licences if "/" in one and names.source(one) == one
                  and not is_file_name(one)],
        recipe=cell(run["recipe"]),
        run_id=run["run_id"],
        methods=told_together(methods(prompts=prompts, filters=filters, recipe=recipe)),
        usage=usage,
        lines=python_lines(THERE, chat=usage.is_chat),
        evaluation=[one for one in facts["evaluation"]
                    if one["role"] == "base" or one["model_id"] == row["model_id"]],
        curve=[one for one in facts["curve"] if one["model_id"] == row["model_id"]],
        sources=facts["sources"],
        licences=dict(licences),
        writers=told_together(writers),
        settings=public_settings(json.loads(row["settings"] or "{}")),
        versions=json.loads(row["versions"] or "{}"),
    )  # fmt: skip


def _provenance(database: Database, row: Mapping[str, Any]) -> str:
    told = {**row, "base": public_name(row["base"])}
    for name in ("settings", "versions"):
        told[name] = json.loads(told[name] or "{}")
    whole = {"model": told, "run": public_run(database)}
    return json.dumps(whole, indent=1, sort_keys=True, default=str) + "\n"


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f}"


def weights_readme(
    folder: Path, *, base: str, recipe: str, run_id: str, model_id: str, num_examples: int
) -> str:
    """What lies beside the weights in the corpus: how they are used."""
    usage = usage_of(folder)
    return _environment().get_template("student_readme.md.jinja").render(
        base=public_name(base), recipe=recipe, run_id=run_id, model_id=model_id,
        num_examples=num_examples, usage=usage,
        lines=python_lines(THERE, chat=usage.is_chat),
    )  # fmt: skip
