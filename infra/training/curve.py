"""The curve as it is made: a report a step, when to keep a checkpoint, when to stop.

Role: the trainer's callback on every rank. Invariant: all ranks decide alike, because they follow
rank 0's clock and the losses they share; a step is reported once, with its held-out loss if it has
one; what an earlier attempt reported is reported again, so that none is missing.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback

from infra.training.config import TrainConfig
from infra.training.link import RankLink, Wish
from infra.training.reports import StepReport, TrainingError

DIVERGED_STEPS = 10  # whose mean is looked at


class Decision(IntEnum):
    """Of rank 0, at the end of a step."""

    GO_ON = 0
    KEEP = 1
    KEEP_AND_STOP = 2


class CurveRecorder(TrainerCallback):
    """See the module's docstring."""

    def __init__(self, config: TrainConfig, link: RankLink) -> None:
        self.config = config
        self.link = link
        self.curve: list[StepReport] = []
        self.is_stopped = False  # by the driver's wish
        self._untold: dict[str, Any] | None = None
        self._wish = Wish.GO_ON
        self._peak_bytes = 0
        self._tokens_until: Callable[[int], int] = lambda _: 0
        self._started = self._step_began = self._kept_at = time.monotonic()

    def count_tokens_by(self, tokens_until: Callable[[int], int]) -> None:
        """`tokens_until(step)`: tokens seen in so many steps, by all ranks."""
        self._tokens_until = tokens_until

    # --- what came before

    def take_over(self, reports: Sequence[StepReport]) -> None:
        """The curve up to the checkpoint this attempt goes on from."""
        self.curve = list(reports)
        self._tell(self.curve)

    # --- what happens

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Clocks start when the model is loaded."""
        self._started = self._step_began = self._kept_at = time.monotonic()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """What the step before was waiting for (its held-out loss) has come, if it comes."""
        self.flush()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """All ranks learn what rank 0 decides and how full the fullest is."""
        shared = torch.tensor(
            [self._decide(state), _peak_memory_bytes()], dtype=torch.int64, device=args.device
        )
        if dist.is_initialized():
            dist.all_reduce(shared, op=dist.ReduceOp.MAX)
        decision, self._peak_bytes = Decision(int(shared[0])), int(shared[1])
        if decision != Decision.GO_ON:
            control.should_save = True
        if decision == Decision.KEEP_AND_STOP:
            self.is_stopped = control.should_training_stop = True
        return control

    def _decide(self, state: Any) -> Decision:
        if self.link.rank != 0 or state.global_step >= state.max_steps:
            return Decision.GO_ON  # the last step's weights are kept as the student
        if self._wish is Wish.STOP:
            return Decision.KEEP_AND_STOP
        every = self.config.checkpoint_every_steps
        is_due = time.monotonic() - self._kept_at >= self.config.checkpoint_every_s
        is_due = is_due or (every is not None and state.global_step % every == 0)
        return Decision.KEEP if is_due else Decision.GO_ON

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """A step's numbers."""
        if "loss" not in logs:
            return
        now = time.monotonic()
        tokens = self._tokens_until(state.global_step)
        before = self._tokens_until(state.global_step - 1)
        self._untold = {
            "step": state.global_step, "num_steps": state.max_steps, "epoch": float(state.epoch),
            "loss": float(logs["loss"]), "learning_rate": float(logs["learning_rate"]),
            "grad_norm": float(logs["grad_norm"]), "tokens": tokens,
            "tokens_per_s": (tokens - before) / max(now - self._step_began, 1e-9),
            "peak_memory_bytes": self._peak_bytes, "seconds": now - self._started,
        }  # fmt: skip
        self._step_began = now

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The next checkpoint is due that much later."""
        self._kept_at = self._step_began = time.monotonic()

    def held_out(self, state: Any, control: Any, loss: float) -> None:
        """The held-out loss of this step's weights; the best so far are kept."""
        self._step_began = time.monotonic()
        if self._untold is None:  # before the first step
            if state.global_step == 0:
                self._untold = {"step": 0, "num_steps": state.max_steps}
            else:
                return  # resumed: it is in the curve
        self._untold["held_out_loss"] = loss
        best = min((r.held_out_loss for r in self.curve if r.held_out_loss is not None),
                   default=math.inf)  # fmt: skip
        if loss < best and 0 < state.global_step < state.max_steps:
            control.should_save = True

    @property
    def knows_held_out(self) -> bool:
        """Whether the held-out loss of the latest step was measured."""
        if self._untold is not None:
            return "held_out_loss" in self._untold
        return bool(self.curve) and self.curve[-1].held_out_loss is not None

    def held_out_at(self, step: int) -> float | None:
        """The held-out loss of that step, if it was measured."""
        self.flush()
        return next((r.held_out_loss for r in reversed(self.curve) if r.step == step), None)

    def flush(self) -> None:
        """Report the step that waits."""
        if self._untold is None:
            return
        report = StepReport(attempt=self.link.attempt, **self._untold)
        self._untold = None
        self.curve.append(report)
        self._tell([report])
        self._assert_converges()

    def _tell(self, reports: Sequence[StepReport]) -> None:
        if self.link.rank == 0:
            self._wish = self.link.tell(reports)

    def _assert_converges(self) -> None:
        losses = [report.loss for report in self.curve if report.loss is not None]
        if mean := diverged_to(losses, self.config.divergence_factor):
            first = sum(losses[:DIVERGED_STEPS]) / DIVERGED_STEPS
            raise TrainingError(
                f"training diverges: the loss of the last {DIVERGED_STEPS} steps is {mean:.3g},"
                f" no lower than of the {DIVERGED_STEPS} before; of the first {first:.3g}"
                f" (step {self.curve[-1].step}): set a lower train.learning_rate,"
                " or train.divergence_factor = 0 to go on regardless"
            )


def diverged_to(losses: Sequence[float], factor: float) -> float | None:
    """Mean loss of the latest steps if it grew and does not fall, else None. Source: our choice.

    Grew: the latest window of steps and the one before it are both above `factor` times the first.
    A rise that falls again, as at the end of a warm-up, is none (docs/decisions/0147).
    """
    if not factor or len(losses) < 3 * DIVERGED_STEPS:
        return None
    first, before, latest = (
        sum(window) / DIVERGED_STEPS
        for window in (
            losses[:DIVERGED_STEPS],
            losses[-2 * DIVERGED_STEPS : -DIVERGED_STEPS],
            losses[-DIVERGED_STEPS:],
        )
    )
    return latest if latest >= before > factor * first else None


def is_finite(value: float | None) -> bool:
    """None counts as finite: it was not measured."""
    return value is None or math.isfinite(value)


def _peak_memory_bytes() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
