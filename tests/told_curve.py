"""What a training told, run after run, as a user has it in the end.

A sample:
    curve = ToldCurve()
    train(config, ..., on_progress=curve)
    curve.losses[3]   # (3, loss, held-out loss, learning rate, gradient norm, tokens)
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.training.reports import StepReport, TrainingExample

EXAMPLES = [
    TrainingExample(
        prompt=f"1) right {number % 9}",
        completion=f"3 + {number % 9} = 7",
        condition="compressed" if number % 2 else "original",
    )
    for number in range(32)
]


class ToldCurve:
    """What was told, and when; `then` is called with each report that is new."""

    def __init__(self, then: Callable[[StepReport], None] = lambda _: None) -> None:
        self.told: list[tuple[float, StepReport]] = []
        self.had: list[tuple[float, str]] = []
        self._then = then

    def __call__(self, report: StepReport) -> None:
        # What the attempts before have done is told again by each new driver.
        if report not in (known for _, known in self.told):
            self.told.append((time.monotonic(), report))
            self._then(report)

    @property
    def losses(self) -> list[tuple[Any, ...]]:
        """Of each step, as the last attempt that took it told."""
        last = {r.step: r for _, r in sorted(self.told, key=lambda one: one[1].attempt)}
        return [
            (r.step, r.loss, r.held_out_loss, r.learning_rate, r.grad_norm, r.tokens)
            for _, r in sorted(last.items())
        ]

    @property
    def repeated(self) -> dict[int, int]:
        """Attempt -> steps it took again."""
        found, furthest = {}, 0
        for number in sorted({r.attempt for _, r in self.told}):
            mine = [r.step for _, r in self.told if r.attempt == number]
            found[number] = sum(0 < step <= furthest for step in mine)
            furthest = max(furthest, *mine)
        return found

    def lose(self, what: str) -> None:
        """Note what is about to be lost."""
        self.had.append((time.monotonic(), what))

    @property
    def words(self) -> str:
        """What was lost, and what that cost; for who reads the test's output."""
        lines = []
        for number, (at, what) in enumerate(self.had, 2):
            began = min((when for when, r in self.told if r.attempt == number), default=at)
            steps = self.repeated.get(number, 0)
            lines.append(f"  {what}: {steps} steps repeated, {began - at:.1f} s lost")
        return "\n".join(lines)


def weights_hash(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
