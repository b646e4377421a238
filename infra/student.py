"""Trains the student on the run's examples and keeps the weights in the corpus.

Invariant: a model is identified by its base, its training settings and the ids of its examples, so
the same examples are never trained on twice; the `models` row is written after the weights are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from infra.engines import EngineConfig
from infra.engines.model_files import model_source
from infra.run import Run
from infra.training.config import TrainConfig, TrainingExample, TrainProgress
from infra.training.launch import train
from sql.database import Database
from tasks.schemas import Model, content_id

STAGE = "train"


class NothingToTrainError(ValueError):
    """The run selected no example."""


def train_student(
    run: Run,
    config: TrainConfig,
    *,
    base: EngineConfig,
    on_progress: Callable[[TrainProgress], None] | None = None,
) -> bool:
    """Train unless it was done; whether it was done now.

    Raises NothingToTrainError, TrainingError.
    """
    rows = _examples(run.database())
    if not rows:
        raise NothingToTrainError(
            "no example was selected, so there is nothing to train on: `litecot sql 'select * from "
            "selection_by_filter'` shows what dropped them"
        )
    data = content_id([row["record_id"] for row in rows])
    model_id = _model_row(run, base, data).content_id(run.plan.fingerprints[STAGE])
    if run.trained_weights(data) is not None:
        return False
    output = run.weights / model_id
    examples = [
        TrainingExample(
            prompt=row["prompt"], completion=row["completion"], condition=row["condition"]
        )
        for row in rows
    ]
    result = train(
        config, base=model_source(base.model), examples=examples, output=output,
        on_progress=on_progress,
    )  # fmt: skip
    path = str(output.relative_to(run.corpus.store.folder))
    run.corpus.store.keep(path)
    row = _model_row(
        run, base, data,
        path=path,
        num_parameters=result.num_parameters, num_examples=result.num_examples,
        num_steps=result.num_steps, train_tokens=result.train_tokens,
        train_loss=result.train_loss, train_seconds=result.train_seconds,
        world_size=result.world_size,
    )  # fmt: skip
    run.write(data, [row], stage=STAGE)
    run.writer.flush()
    return True


def _examples(database: Database) -> list[dict[str, Any]]:
    return database.run_file("inputs", "train").records()


def _model_row(run: Run, base: EngineConfig, data_fingerprint: str, **measured: Any) -> Model:
    unmeasured: dict[str, Any] = {
        "path": "", "num_parameters": 0, "num_examples": 0, "num_steps": 0, "train_tokens": 0,
        "train_loss": 0.0, "train_seconds": 0.0, "world_size": 0,
    }  # fmt: skip
    return Model(
        base=base.model,
        recipe=run.plan.recipe,
        data_fingerprint=data_fingerprint,
        **{**unmeasured, **measured},
    )
