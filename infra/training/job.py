"""The files through which the launcher and its driver speak: all in one staging folder.

Invariant: the launcher writes `job.json`, `launch.json` and `examples.jsonl` before the driver
starts; the driver writes `start.json` once the ranks have met, appends to `progress.jsonl`, and
writes `result.json` last, once the weights are complete. No file holds a key.

A sample line of progress.jsonl: {"step": 3, "num_steps": 96, "loss": 2.1, "learning_rate": 3e-05,
"tokens_per_s": 11830.5}
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from infra.training.config import TrainConfig
from infra.training.reports import StepReport, TrainingExample, TrainResult, TrainStart
from tasks.errors import LitecotError

STOP = b"stop\n"  # on the driver's stdin: keep a checkpoint and end
DEATH = "The actor is dead because"  # how Ray begins the line that says why


class TrainJob(BaseModel):
    """What the ranks are told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: TrainConfig
    base: str  # local folder or hub id


class Launch(BaseModel):
    """What the driver is told beside: where the ranks run, and where their checkpoints lie."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoints: str  # path of a Place; keys of its bucket come by stdin
    address: str | None = None  # of a Ray to join; None: RAY_ADDRESS, or one of its own
    is_local: bool = True  # that Ray stands for this run alone
    environment: dict[str, str] = {}  # of the ranks, beside what their node gives them
    wait_s: float = 600.0
    max_failures: int = 3
    threads: int | None = None  # of a rank; None: its share of the cores


class JobFolder:
    """The staging folder of one run, beside the output it will become."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = path / "model"  # becomes the output folder
        self.log = path / "training.log"
        self.progress = path / "progress.jsonl"
        self._job = path / "job.json"
        self._launch = path / "launch.json"
        self._examples = path / "examples.jsonl"
        self._start = path / "start.json"
        self._note = path / "note.txt"
        self._result = path / "result.json"
        self._error = path / "error.txt"

    def write_job(self, job: TrainJob, examples: Sequence[TrainingExample], launch: Launch) -> None:
        """Everything the driver needs."""
        self.progress.touch()  # a student that was finished before is told nothing of
        self._job.write_text(job.model_dump_json())
        self._launch.write_text(launch.model_dump_json())
        lines = (json.dumps(asdict(example)) + "\n" for example in examples)
        self._examples.write_text("".join(lines))

    def read_launch(self) -> Launch:
        """What `write_job` wrote."""
        return Launch.model_validate_json(self._launch.read_text())

    def read_job(self) -> TrainJob:
        """What `write_job` wrote."""
        return TrainJob.model_validate_json(self._job.read_text())

    def examples(self) -> bytes:
        """All of them, as `read_examples` takes them."""
        return self._examples.read_bytes()

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

    def write_note(self, words: str) -> None:
        """Why nothing happens at the moment; "": no more. Whole or not there."""
        unfinished = self._note.with_suffix(".writing")
        unfinished.write_text(words)
        os.replace(unfinished, self._note)

    def read_note(self) -> str:
        """What `write_note` wrote last."""
        return self._note.read_text() if self._note.exists() else ""

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

    def write_error(self, reason: str) -> None:
        """Why the run failed, one line; more is in the log. The first is heard."""
        if not self._error.exists():
            self._error.write_text(reason)

    def read_error(self) -> str | None:
        """The line of `write_error`, if the driver had time to write it."""
        return self._error.read_text() if self._error.exists() else None

    def log_tail(self, num_lines: int) -> str:
        """The end of what driver and ranks printed."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-num_lines:])


def read_examples(content: bytes) -> list[TrainingExample]:
    """The examples, in order. Not split at what else Unicode takes for the end of a line."""
    return [TrainingExample(**json.loads(line)) for line in content.split(b"\n") if line]


def reason_of(error: BaseException) -> str:
    """One line; of an error that is not a message of ours, with its type. Ray says why an actor
    died only some lines below."""
    lines = str(error).splitlines()
    line = next((line for line in lines if line.startswith(DEATH)), lines[0] if lines else "")
    return line if isinstance(error, LitecotError) else f"{type(error).__name__}: {line}"
