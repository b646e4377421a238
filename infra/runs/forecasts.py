"""Forecasts of students, from a corpus and back into it: its rows read, its rows written.

Invariant: of the steps and tokens of a training both sides have the plan, never what came of it:
for a student that is yet to be trained there is nothing else.

A sample: forecast(evaluated_students(database), [candidate_of(database, plan, config)], settings)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from pydantic import ValidationError

from infra.runs.plan import TRAIN, RunPlan
from infra.storage import CorpusWriter
from infra.training.budget.work import work_of
from infra.training.config import TrainConfig
from sql.database import Database
from tasks.forecasts.features import Candidate, Group, Result, TrainingSet
from tasks.schemas import Forecast, Model

PLANNED = ("epochs", "num_steps", "train_tokens")
KNOWN = [each.name for each in fields(TrainingSet) if each.name not in PLANNED]


def num_students(database: Database, base: str) -> int:
    """How many the corpus has trained from `base`: at a glance, whether there may be enough."""
    return int(dict(database.run_file("runs", "num_students").rows).get(base, 0))


def evaluated_students(database: Database) -> list[Result]:
    """Every evaluated student of the corpus whose training set is known."""
    return [
        Result(
            model_id=row["model_id"],
            recipe=row["recipe"],
            group=Group(
                base=row["base"], benchmark=row["benchmark"], settings=row["evaluated_with"],
                compress=row["compress"],
            ),
            accuracy=row["accuracy"],
            tokens=row["answer_tokens"],
            num_questions=row["num_questions"],
            training=training_set(row, _config_of(row["settings"])),
        )
        for row in database.run_file("runs", "student_results").records()
    ]  # fmt: skip


def candidate_of(
    database: Database, plan: RunPlan, config: TrainConfig, *, label: str = ""
) -> Candidate | None:
    """The student that `plan` would train, by what its examples are; None: it has none yet.

    `label`: what it is called, by default as its recipe. Selects the plan's run in `database`.
    """
    base = plan.counter.model
    database.set_run(plan.run_id, dict(plan.fingerprints))
    rows = database.run_file("runs", "candidate_features", variables={"base": base}).records()
    if not rows:
        return None
    (row,) = rows
    data = row["data_fingerprint"]
    return Candidate(
        recipe=label or plan.recipe,
        model_id=Model.id_of(plan.fingerprints[TRAIN], base=base, data_fingerprint=data),
        base=base,
        data_fingerprint=data,
        training=training_set(row, config),
    )


def training_set(row: Mapping[str, Any], config: TrainConfig | None) -> TrainingSet:
    """From a row that has its columns. `config`: how it is trained on, None where nobody knows."""
    planned: dict[str, Any] = dict.fromkeys(PLANNED)
    if config is not None:
        work = work_of(config, num_examples=row["num_examples"], tokens_each=row["tokens"])
        steps, tokens = float(work.steps), work.tokens
        planned = {"epochs": config.epochs, "num_steps": steps, "train_tokens": tokens}
    return TrainingSet(**{name: row[name] for name in KNOWN}, **planned)


def _config_of(settings: str | None) -> TrainConfig | None:
    """Of a `models` row; rows of older versions have none, or one that is read no more."""
    try:
        return None if settings is None else TrainConfig.model_validate_json(settings)
    except ValidationError:
        return None


def store(writer: CorpusWriter, forecasts: Sequence[Forecast], *, run_id: str) -> int:
    """Keep those that are new; how many. `run_id`: of the run they are for."""
    return sum(
        writer.finish(each.model_id, [each], stage_fingerprint="", run_id=run_id)
        for each in forecasts
    )
