"""What a rank speaks through: to the driver, to the store of checkpoints, to the attempt before.

Role: rank.py trains and knows no launcher; a launcher (Ray Train, in ray_driver.py) gives each of
its workers a link. Invariants: `keep` is a collective and returns on every rank once the checkpoint
counts; a checkpoint that was not wholly kept never counts.

A sample, of the rank: `link.tell(report) is Wish.STOP` at the end of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from infra.training.reports import StepReport, TrainingExample, TrainStart

MODEL = "model"  # the checkpoint that is the finished student; the others are named step-<n>
RESULT_FILE = "train_result.json"  # in it: a TrainResult


class Wish(StrEnum):
    """What the driver wants of the ranks."""

    GO_ON = "go on"
    STOP = "stop"  # keep a checkpoint, then return


class RankLink(Protocol):
    """One rank's link. `rank` of `world_size`, `local_rank` on its node; `attempt` from 1."""

    rank: int
    world_size: int
    local_rank: int
    attempt: int

    def examples(self) -> Sequence[TrainingExample]:
        """All examples, in order, on every rank."""
        ...

    def start(self, start: TrainStart) -> None:
        """Say, before the first step, who trains with what (rank 0 only)."""
        ...

    def tell(self, reports: Sequence[StepReport]) -> Wish:
        """Hand on what happened (rank 0 only), never waiting for anyone; what the driver wished
        when it was last heard."""
        ...

    def keep(self, folder: Path | None, *, name: str, held_out_loss: float | None) -> None:
        """Put this rank's files (None: it has none) into the checkpoint `name`. A collective."""
        ...

    def last(self) -> AbstractContextManager[Path | None]:
        """The last checkpoint kept, as a folder with every rank's files, while the context lasts;
        None at the very beginning."""
        ...

    def best(self) -> AbstractContextManager[Path | None]:
        """The kept checkpoint of the least held-out loss, in the same way."""
        ...
