"""The work of a training run: examples and tokens a step, steps, operations, hours.

Invariant: pure. Padding is never counted. Held-out examples are not trained on.

A sample: work_of(config, num_examples=100_000, tokens_each=720).steps == 102
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from infra.training.budget.shape import ModelShape
from infra.training.config import TrainConfig

SECONDS = 3600
TRAINING, LORA = 6.0, 4.0  # operations a parameter and token; adapters: frozen weights, no gradient
RECOMPUTED = 4 / 3  # gradient checkpointing: a second forward pass
HELD_OUT_MOST = 10  # one of so many examples at most is held out


@dataclass(frozen=True, kw_only=True)
class Work:
    """Tokens: prompt and completion. `examples_a_step`: about, of packed bins."""

    num_examples: int
    num_held_out: int
    tokens_each: float
    examples_a_step: float
    tokens_a_step: float
    steps: int
    warmup_steps: int
    tokens_an_epoch: float
    tokens: float


def work_of(config: TrainConfig, *, num_examples: int, tokens_each: float) -> Work:
    """Of all epochs, or of `max_steps` or `max_tokens`."""
    held_out = min(config.held_out_examples, num_examples // HELD_OUT_MOST)
    trained = max(0, num_examples - held_out)
    an_epoch = trained * tokens_each
    each = 1.0  # examples a row of a micro-batch
    if config.how_batched == "packed":
        each = max(1.0, (config.bin_length or config.unset_bin_length) / max(tokens_each, 1.0))
    microbatches = ceil(trained / each / (config.num_ranks * config.per_rank_batch_size))
    steps = config.epochs * ceil(microbatches / config.accumulation)
    tokens = config.epochs * an_epoch
    if config.max_steps is not None:
        tokens *= min(1.0, config.max_steps / max(steps, 1))
        steps = config.max_steps
    if config.max_tokens is not None and tokens:
        steps = ceil(steps * config.max_tokens / tokens)
        tokens = float(config.max_tokens)
    return Work(
        num_examples=trained,
        num_held_out=held_out,
        tokens_each=tokens_each,
        examples_a_step=min(trained, config.batch_size * each),
        tokens_a_step=min(an_epoch, config.batch_size * each * tokens_each),
        steps=steps,
        warmup_steps=ceil(steps * config.warmup_ratio),
        tokens_an_epoch=an_epoch,
        tokens=tokens,
    )


def operations_a_token(
    config: TrainConfig, num_parameters: int, *, shape: ModelShape | None = None,
    tokens_each: float = 0.0,
) -> float:  # fmt: skip
    """6 a parameter, and of causal attention 6 x layers x length x queries; a third more where
    activations are computed again, a third less where only adapters learn."""
    attention = shape.layers * tokens_each * shape.queries if shape else 0.0
    factor = (LORA if config.lora else TRAINING) * (
        RECOMPUTED if config.gradient_checkpointing else 1.0
    )
    return factor * (num_parameters + attention)


def hours_of(operations: float, *, num_gpus: int, peak_tflops: float, utilization: float) -> float:
    """Wall hours of so many operations on GPUs that reach a share of their peak."""
    return operations / (num_gpus * peak_tflops * 1e12 * utilization) / SECONDS
