"""The loss curve is stored step by step, once each, and resumed attempts are told apart."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.runs.curve import Curve, last_attempt
from infra.storage import Corpus, CorpusWriter
from infra.training.reports import StepReport, TrainStart
from sql.database import Database, connect

START = TrainStart(
    engine="DeepSpeedEngine", distributed_type="DEEPSPEED",
    zero_stage=2, optimizer="o", world_size=2, device="cpu", num_steps=4,
    batch_size=8, batching="grouped", num_examples=32, num_held_out=0, num_too_long=0,
)  # fmt: skip
STAMP = {"stage_fingerprint": "fp-train", "run_id": "r1"}


def take(folder: Path, steps: list[int], *, attempt: int = 1, model: str = "m1") -> None:
    """Another process: it knows of earlier ones only what the corpus says."""
    with CorpusWriter(folder) as writer:
        curve = Curve(
            writer, model_id=model, base="b", device="cpu", stamp=STAMP,
            last_attempt=last_attempt(read(folder), model),
        )  # fmt: skip
        for step in steps:
            curve.add(StepReport(step=step, num_steps=4, attempt=attempt, loss=float(step)))


def read(folder: Path) -> Database:
    return connect(Corpus(folder).parts()) if Corpus(folder).exists else connect({})


def curve_of(folder: Path, columns: str = "step, attempt") -> list[tuple[Any, ...]]:
    return read(folder).run(f"select {columns} from training_curve").rows


def test_a_step_told_twice_is_stored_once(tmp_path: Path) -> None:
    take(tmp_path, [0, 1, 1, 2, 2])
    assert curve_of(tmp_path) == [(0, 1), (1, 1), (2, 1)]


def test_what_was_told_before_a_kill_is_kept(tmp_path: Path) -> None:
    writer = CorpusWriter(tmp_path / "a")
    curve = Curve(writer, model_id="m1", base="b", device="cpu", last_attempt=0, stamp=STAMP)
    curve.add(StepReport(step=1, num_steps=4, loss=2.5))
    # As the disk is at a kill -9: nothing closed, nothing folded.
    copied = shutil.copytree(tmp_path / "a", tmp_path / "b")
    writer.close()
    CorpusWriter(copied).close()
    assert curve_of(copied, "step, loss, share_done") == [(1, 2.5, 0.25)]


def test_a_new_process_makes_another_attempt_whatever_it_counts(tmp_path: Path) -> None:
    take(tmp_path, [0, 1, 2, 3])
    take(tmp_path, [2, 3], attempt=1)  # a launcher that counts from 1 each time
    take(tmp_path, [3, 4], attempt=3)  # one that knows of the others
    assert curve_of(tmp_path) == [(0, 1), (1, 1), (2, 2), (3, 3), (4, 3)]
    assert read(tmp_path).run("select count(*) from raw_training_steps").rows == [(8,)]


def test_steps_told_again_by_the_attempt_after_are_stored_once(tmp_path: Path) -> None:
    take(tmp_path, [0, 1, 2, 3])
    with CorpusWriter(tmp_path) as writer:
        curve = Curve(
            writer, model_id="m1", base="b", device="cpu", last_attempt=1, stamp=STAMP
        )  # fmt: skip
        curve.begin(replace(START, attempt=2))
        for step, attempt in [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2)]:
            curve.add(StepReport(step=step, num_steps=4, attempt=attempt, loss=float(step)))
    assert curve_of(tmp_path) == [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2)]


def test_steps_that_a_resumed_run_has_yet_to_take_again_are_no_part_of_the_curve(
    tmp_path: Path,
) -> None:
    take(tmp_path, [0, 1, 2, 3, 4])
    take(tmp_path, [2])
    assert curve_of(tmp_path) == [(0, 1), (1, 1), (2, 2)]


def test_models_compare(tmp_path: Path) -> None:
    take(tmp_path, [1, 2])
    take(tmp_path, [1, 2], model="m2")
    assert curve_of(tmp_path, "model_id, attempt") == [("m1", 1)] * 2 + [("m2", 1)] * 2


def test_a_loss_that_is_no_number_is_stored_too(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path) as writer:
        curve = Curve(writer, model_id="m1", base="b", device="cpu", last_attempt=0, stamp=STAMP)
        curve.add(StepReport(step=1, num_steps=4, loss=float("nan"), grad_norm=float("inf")))
    ((loss, norm),) = curve_of(tmp_path, "isnan(loss), isinf(grad_norm)")
    assert (loss, norm) == (True, True)
