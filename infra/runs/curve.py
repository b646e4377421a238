"""The loss curve as rows, stored while training runs.

Invariant: each report is one finished record, durable before the next is read, so a run that is
killed leaves its curve so far; a step told again under the same attempt is stored once.

A sample: Curve(writer, model_id="9f0c", base="nano:student", ..., stamp={...}).add(report)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from infra.storage import CorpusWriter
from infra.training.reports import StepReport, TrainStart
from sql.database import Database
from tasks.schemas import TrainingStep


class Curve:
    """One model's. `last_attempt`: the last of which steps are stored; `stamp`: see finish.

    `device`: what is to train it, and once the ranks have met what does.
    """

    def __init__(
        self,
        writer: CorpusWriter,
        *,
        model_id: str,
        base: str,
        device: str,
        last_attempt: int,
        stamp: Mapping[str, Any],
    ) -> None:
        self.device = device
        self._writer = writer
        self._model_id, self._base = model_id, base
        self._last_attempt = last_attempt
        self._stamp = dict(stamp)
        self._earlier: int | None = None  # attempts of processes before this one, not counted by it

    def begin(self, start: TrainStart) -> None:
        """The ranks have met; what they tell first may be of the attempts before, told again."""
        self.device = start.device
        self._count_from(start.attempt)

    def _count_from(self, attempt: int) -> None:
        if self._earlier is None:
            self._earlier = max(0, self._last_attempt + 1 - attempt)

    def add(self, report: StepReport) -> None:
        """Store it. Raises CorpusError."""
        self._count_from(report.attempt)
        assert self._earlier is not None
        told = asdict(report)
        told["attempt"] += self._earlier
        row = TrainingStep(model_id=self._model_id, base=self._base, **told)
        self._writer.finish(f"{self._model_id}:{row.attempt}:{row.step}", [row], **self._stamp)


def last_attempt(database: Database, model_id: str) -> int:
    """The last attempt of which steps are stored; 0 where there are none."""
    return int(dict(database.run_file("runs", "last_attempt").rows).get(model_id, 0))
