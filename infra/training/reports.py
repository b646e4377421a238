"""What training takes and what it tells, as plain values; importing it loads no torch.

In the order told: a TrainStart, a StepReport for the base (step 0), one a step, a TrainResult.

A sample step: StepReport(step=3, num_steps=96, attempt=1, epoch=0.2, loss=2.1, learning_rate=3e-05,
grad_norm=0.9, tokens=5120, tokens_per_s=1830.5, peak_memory_bytes=812_000_000, seconds=2.8)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.errors import LitecotError

Condition = Literal["original", "compressed"]


@dataclass(frozen=True, kw_only=True)
class TrainingExample:
    """One user turn and what the student learns to answer; the encoder adds `<compress>`.

    `group`: examples of one group (a problem) are never parted by the held-out split.
    """

    prompt: str
    completion: str
    condition: Condition = "original"
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class TrainStart:
    """The ranks have met and are about to take the first step; told by rank 0, once an attempt."""

    engine: str  # what wraps the model: "DeepSpeedEngine"
    distributed_type: str  # accelerate's: "DEEPSPEED"
    zero_stage: int  # as DeepSpeed says
    optimizer: str  # class name of DeepSpeed's
    world_size: int
    device: str  # gpu | cpu
    num_steps: int
    batch_size: int  # examples (packed: bins) a step, all ranks
    batching: str  # packed | grouped | random
    num_examples: int  # to train on
    num_held_out: int
    num_too_long: int
    attempt: int = 1

    @property
    def line(self) -> str:
        """In words, for a person."""
        ranks = "1 rank" if self.world_size == 1 else f"{self.world_size} ranks"
        of = f"{'bins' if self.batching == 'packed' else 'examples'}, {self.batching}"
        return (
            f"{ranks}, DeepSpeed ZeRO-{self.zero_stage} on {self.device} ({self.engine},"
            f" {self.distributed_type}),"
            f" {self.num_steps} steps of {self.batch_size} {of}, {self.num_held_out} held out"
        )


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One optimizer step, as it happened; step 0 is the base, before the first."""

    step: int
    num_steps: int
    attempt: int = 1  # 2 for what was done after the first loss of a worker, driver or node
    epoch: float = 0.0
    loss: float | None = None  # nats a learnt token, over all tokens of the step; None at step 0
    learning_rate: float | None = None
    grad_norm: float | None = None  # before clipping
    held_out_loss: float | None = None  # nats a learnt token; None where it was not measured
    tokens: int = 0  # seen so far, all ranks, padding excluded
    tokens_per_s: float = 0.0  # of this step, all ranks
    peak_memory_bytes: int = 0  # of the fullest rank so far: GPU memory, on CPU resident memory
    seconds: float = 0.0  # of training so far, this attempt


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What training did; told by rank 0 as its last act."""

    num_steps: int
    num_examples: int  # trained on
    num_too_long: int  # left out: more than `max_length` tokens
    num_held_out: int  # kept out to measure the loss on
    train_tokens: int  # seen, padding excluded, all epochs
    learnt_tokens: int  # of them with a label
    tokens_too_long: int  # of the examples left out
    tokens_held_out: int
    train_loss: float  # mean over the last epoch's steps, nats a token
    held_out_loss: float | None  # of the weights that were kept
    train_seconds: float  # wall time, start-up and saving included, all attempts
    num_parameters: int
    world_size: int
    engine: str  # what wraps the model: "DeepSpeedEngine"
    zero_stage: int  # as DeepSpeed says
    optimizer: str  # class name of DeepSpeed's
    batching: str
    kept_step: int  # whose weights became the student
    num_attempts: int
    peak_memory_bytes: int  # of the fullest rank


class TrainingError(LitecotError):
    """Training could not start or broke; the message is one line, then the end of the log."""
