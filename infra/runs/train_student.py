"""Trains the student on the run's examples and keeps the weights in the corpus.

Invariant: a model is identified by its base, its training settings and the ids of its examples, so
the same examples are never trained on twice; the `models` row is written after the weights are, and
the checkpoints that a training goes on from are removed after the row is written.
Nothing is trained on that is, or overlaps, a question the run evaluates on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from infra.engines import EngineConfig
from infra.engines.model_files import model_source, weights_fingerprint
from infra.hosting.nodes import running_ray
from infra.publishing.student import weights_readme
from infra.runs.curve import Curve, last_attempt
from infra.runs.intake import read_held_out
from infra.runs.plan import RunPlan
from infra.runs.versions import TRAINING, versions
from infra.runs.weights import UNFINISHED, WEIGHTS, trained_weights
from infra.storage import CorpusWriter
from infra.storage.checksums import sum_folder
from infra.storage.names import inside
from infra.storage.store import Store
from infra.training.checkpoints import training_key
from infra.training.config import TrainConfig
from infra.training.launch import train
from infra.training.reports import (
    StepReport,
    TrainingError,
    TrainingExample,
    TrainResult,
    TrainStart,
)
from sql.database import Database
from tasks.errors import LitecotError
from tasks.intake.held_out import HeldOut, Twin
from tasks.intake.hygiene import HygieneConfig
from tasks.intake.wording import tokens_of
from tasks.schemas import Model, content_id

ToldT = TypeVar("ToldT")
STAGE = "train"
MAX_NAMED = 3  # overlapping problems, in a message


class NothingToTrainError(LitecotError):
    """The run selected no example."""


class EvaluationOverlapError(TrainingError):
    """A training example's problem is, or overlaps, a question of an evaluation set."""


def train_student(
    database: Database,
    writer: CorpusWriter,
    *,
    store: Store,
    plan: RunPlan,
    config: TrainConfig,
    base: EngineConfig,
    held_out: Sequence[str] = (),
    hygiene: HygieneConfig | None = None,
    on_start: Callable[[TrainStart], None] = lambda _: None,
    on_progress: Callable[[StepReport], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    go_on: Callable[[], None] = lambda: None,
) -> bool:
    """Train unless it was done; whether it was done now.

    `database`: the corpus with the run of `plan` selected; weights go into `store`, the `models`
    row through `writer`. `held_out`: evaluation sets, beside the run's own held-out problems.
    `go_on` is called now and then; what it raises ends the training.
    Raises NothingToTrainError, EvaluationOverlapError, TrainingError.
    """
    rows = _examples(database)
    hygiene = hygiene or HygieneConfig()
    assert_separate(database, read_held_out(held_out, hygiene, ids={}))
    go_on()
    data = content_id([row["record_id"] for row in rows])
    fingerprint = plan.fingerprints[STAGE]
    model_id = _model_row(plan.recipe, base, data).content_id(fingerprint)
    if trained_weights(database, store, data_fingerprint=data) is not None:
        return False
    path, unfinished = f"{WEIGHTS}/{model_id}", _unfinished(config, base, data)
    stamp: dict[str, Any] = {"stage_fingerprint": fingerprint, "run_id": plan.run_id}
    curve = Curve(
        writer, model_id=model_id, base=base.model, device=config.device,
        last_attempt=last_attempt(database, model_id), stamp=stamp,
    )  # fmt: skip
    result = train(
        config, base=model_source(base.model), examples=list(map(_example, rows)),
        output=inside(store.folder, path), checkpoints=store.place(unfinished),
        cluster=running_ray(), go_on=go_on,
        on_start=_each(curve.begin, on_start), on_progress=_each(curve.add, on_progress),
        on_note=on_note,
    )  # fmt: skip
    _keep(store, path, plan=plan, base=base, num_examples=result.num_examples)
    told = _told(result, config, device=curve.device)
    writer.finish(data, [_model_row(plan.recipe, base, data, path=path, **told)], **stamp)
    writer.flush()
    store.remove(unfinished)
    return True


def _unfinished(config: TrainConfig, base: EngineConfig, data: str) -> str:
    """Where the checkpoints of this training lie."""
    return f"{WEIGHTS}/{UNFINISHED}/{training_key(config, weights_fingerprint(base), data)}"


def _each(*calls: Callable[[ToldT], None]) -> Callable[[ToldT], None]:
    def call(told: ToldT) -> None:
        for one in calls:
            one(told)

    return call


def _keep(store: Store, path: str, *, plan: RunPlan, base: EngineConfig, num_examples: int) -> None:
    """The weights with a README, summed, where the corpus has them."""
    folder = inside(store.folder, path)
    readme = weights_readme(
        folder, base=base.model, recipe=plan.recipe, run_id=plan.run_id, model_id=folder.name,
        num_examples=num_examples,
    )  # fmt: skip
    with store.explained():
        (folder / "README.md").write_text(readme, encoding="utf-8")
        sum_folder(folder)
    store.keep(path)


def _told(result: TrainResult, config: TrainConfig, *, device: str) -> dict[str, Any]:
    """Columns of a `models` row."""
    return {
        **asdict(result),
        "settings": config.model_dump_json(),
        "versions": versions(*TRAINING),
        "device": device,
        "device_hours": result.world_size * result.train_seconds / 3600,
    }


def _example(row: dict[str, Any]) -> TrainingExample:
    return TrainingExample(
        prompt=row["prompt"],
        completion=row["completion"],
        condition=row["condition"],
        group=row["problem_id"],
    )


def assert_separate(database: Database, held_out: HeldOut) -> None:
    """Raises EvaluationOverlapError where an example's problem is in `held_out` or the eval split.

    Ingest has seen to it; this catches what came into the corpus since, or in another way.
    """
    for row in database.run_file("runs", "held_out_questions").records():
        held_out.add(row["question"], where=f"{row['source']}:{row['line']}")
    found = [
        (row, twin)
        for row in database.run_file("runs", "trained_questions").records()
        if (twin := _twin(held_out, row["question"]))
    ]
    if found:
        raise EvaluationOverlapError(_overlap_message(found))


def _twin(held_out: HeldOut, question: str) -> Twin | None:
    return held_out.same(tokens_of(question)) or held_out.overlapping(question)


def _overlap_message(found: Sequence[tuple[dict[str, Any], Twin]]) -> str:
    named = ", ".join(
        f"{row['source']}:{row['line']} ({row['problem_id']}) holds {twin.similarity:.0%} of"
        f" {twin.where}"
        for row, twin in found[:MAX_NAMED]
    )
    more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    return (
        f"training problems are in an evaluation set: {named}{more}; take them out of the problems,"
        " or the set out of evaluate.problems and hygiene.evaluation_sets, and run again: what is"
        " done already is kept"
    )


def _examples(database: Database) -> list[dict[str, Any]]:
    rows = database.run_file("inputs", "train").records()
    if not rows:
        raise NothingToTrainError(
            "no example was selected, so there is nothing to train on: `litecot sql 'select * from "
            "selection_by_filter'` shows what dropped them"
        )
    return rows


def _model_row(recipe: str, base: EngineConfig, data_fingerprint: str, **measured: Any) -> Model:
    unmeasured: dict[str, Any] = {
        "path": "", "num_parameters": 0, "num_examples": 0, "num_steps": 0, "train_tokens": 0,
        "train_loss": 0.0, "train_seconds": 0.0, "world_size": 0,
    }  # fmt: skip
    return Model(
        base=base.model,
        recipe=recipe,
        data_fingerprint=data_fingerprint,
        **{**unmeasured, **measured},
    )
