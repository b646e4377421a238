"""The files through which the launcher and the ranks speak: all in one staging folder.

Invariant: the launcher writes `job.json` and `examples.jsonl` before any rank starts; rank 0 alone
writes `start.json` once the ranks have met, appends to `progress.jsonl`, and writes `result.json`
last, once the weights are complete.

A sample line of progress.jsonl: {"step": 3, "num_steps": 96, "loss": 2.1, "learning_rate": 3e-05,
"tokens_per_s": 11830.5}
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from itertools import takewhile
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from infra.training.config import TrainConfig
from infra.training.reports import StepReport, TrainingExample, TrainResult, TrainStart

LIFELINE_ENV = "LITECOT_TRAIN_LIFELINE"  # set: the ranks leave when their stdin closes
TORCHRUN_REPORT = re.compile(r"[EW]\d{4} .*torch/distributed/elastic")


class TrainJob(BaseModel):
    """What the ranks are told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: TrainConfig
    base: str  # local folder or hub id


class JobFolder:
    """The staging folder of one run, beside the output it will become."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = path / "model"  # becomes the output folder
        self.log = path / "training.log"
        self.progress = path / "progress.jsonl"
        self._job = path / "job.json"
        self._examples = path / "examples.jsonl"
        self._start = path / "start.json"
        self._result = path / "result.json"
        self._error = path / "error.txt"

    def write_job(self, job: TrainJob, examples: Sequence[TrainingExample]) -> None:
        """Everything a rank needs."""
        self._job.write_text(job.model_dump_json())
        lines = (json.dumps(asdict(example)) + "\n" for example in examples)
        self._examples.write_text("".join(lines))

    def read_job(self) -> TrainJob:
        """What `write_job` wrote."""
        return TrainJob.model_validate_json(self._job.read_text())

    def read_examples(self) -> list[TrainingExample]:
        """The examples, in order."""
        with self._examples.open() as lines:
            return [TrainingExample(**json.loads(line)) for line in lines]

    def write_start(self, start: TrainStart) -> None:
        """Rank 0's first act; whole or not there."""
        unfinished = self._start.with_suffix(".writing")
        unfinished.write_text(json.dumps(asdict(start)))
        os.replace(unfinished, self._start)

    def read_start(self) -> TrainStart | None:
        """None where the ranks are still on their way."""
        if not self._start.exists():
            return None
        return TrainStart(**json.loads(self._start.read_text()))

    def append_progress(self, progress: StepReport) -> None:
        """One line, in one write."""
        with self.progress.open("a") as file:
            file.write(json.dumps(asdict(progress)) + "\n")

    def read_progress(self, offset: int) -> tuple[list[StepReport], int]:
        """The complete lines after byte `offset`, and the offset to go on from."""
        if not self.progress.exists():
            return [], offset
        with self.progress.open("rb") as file:
            file.seek(offset)
            text = file.read()
        complete = text[: text.rfind(b"\n") + 1]
        steps = [StepReport(**json.loads(line)) for line in complete.splitlines()]
        return steps, offset + len(complete)

    def write_result(self, result: TrainResult) -> None:
        """Rank 0's last act."""
        self._result.write_text(json.dumps(asdict(result)))

    def read_result(self) -> TrainResult | None:
        """None where the ranks did not get that far."""
        if not self._result.exists():
            return None
        return TrainResult(**json.loads(self._result.read_text()))

    def write_error(self, error: BaseException) -> None:
        """Why a rank stopped, one line; the traceback is in the log. The first to fail is heard."""
        if not self._error.exists():
            first_line = next(iter(str(error).splitlines()), "")
            self._error.write_text(f"{type(error).__name__}: {first_line}")

    def read_error(self) -> str | None:
        """The line of `write_error`, if a rank had time to write it."""
        return self._error.read_text() if self._error.exists() else None

    def log_tail(self, num_lines: int) -> str:
        """The end of what the ranks printed, without torchrun's own report below it."""
        lines = self.log.read_text(errors="replace").splitlines()
        said = list(takewhile(lambda line: not TORCHRUN_REPORT.match(line), lines)) or lines
        return "\n".join(said[-num_lines:])
