"""What a training run is told and what it reports; importing it loads no torch, no deepspeed.

Invariant: (config, base weights, examples in order) determine the trained weights, on CPU bit by
bit.

A sample recipe table:
    [train]
    zero = "zero2-cpu"
    epochs = 3
    learning_rate = 1e-3
    per_rank_batch_size = 16
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.errors import LitecotError

Condition = Literal["original", "compressed"]
Zero = Literal["zero2-cpu", "zero2", "zero3", "zero3-offload"]


class LoraSettings(BaseModel):
    """Low-rank adapters, merged into full weights at the end (MACC, METHODS 2.3; needs `peft`).

    Rank 8, alpha 16 on all linear layers: TokenSkip's repository, the safe default for MACC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=8, ge=1)
    alpha: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)


class TrainConfig(BaseModel):
    """Supervised fine-tuning of the student (METHODS 1.6 LiteCoT, 2.3 MACC).

    Defaults are the published Liter 7B recipe: AdamW, lr 5e-5, cosine, 10% warm-up, RoPE base and
    8K context [given]; 3 epochs, min-lr rate 0.1, weight decay 1e-4, bf16, ZeRO-3, length 8192 and
    seed 233 [repo]. Batch sizes are ours: the paper's global batch is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_ranks: int = Field(
        default=2, ge=1, description="processes, one a GPU (or a share of cores)"
    )
    zero: Zero = Field(
        default="zero3", description="infra/deepspeed/<zero>.json; *-cpu needs no GPU"
    )
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    epochs: int = Field(default=3, ge=1)
    learning_rate: float = Field(default=5e-5, gt=0)
    lr_scheduler: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    min_lr_rate: float = Field(
        default=0.1, ge=0, le=1, description="cosine's floor, share of the lr"
    )
    warmup_ratio: float = Field(default=0.1, ge=0, lt=1, description="share of all steps")
    weight_decay: float = Field(default=1e-4, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    per_rank_batch_size: int = Field(default=1, ge=1, description="examples a rank and microbatch")
    gradient_accumulation: int = Field(default=1, ge=1, description="microbatches a step")
    max_length: int = Field(default=8192, ge=8, description="tokens; longer examples are left out")
    rope_theta: float | None = Field(
        default=None, gt=0, description="RoPE base; None keeps the model's, Liter uses 100 000"
    )
    group_by_length: bool = Field(default=True, description="batches of like length: less padding")
    gradient_checkpointing: bool = False
    seed: int = Field(default=233, ge=0)
    lora: LoraSettings | None = None

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if self.lora is not None and self.zero.startswith("zero3"):
            raise ValueError("lora is merged in memory: use zero2 or zero2-cpu with it")
        return self

    @property
    def batch_size(self) -> int:
        """Examples an optimizer step, over all ranks."""
        return self.num_ranks * self.per_rank_batch_size * self.gradient_accumulation


@dataclass(frozen=True, kw_only=True)
class TrainingExample:
    """One user turn and what the student learns to answer; the encoder adds `<compress>`."""

    prompt: str
    completion: str
    condition: Condition = "original"


@dataclass(frozen=True, kw_only=True)
class TrainProgress:
    """One optimizer step, as it happened."""

    step: int
    num_steps: int
    loss: float  # nats a completion token, mean over the ranks
    learning_rate: float
    tokens_per_s: float  # all ranks, padding excluded, since the first step


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What training did; written by rank 0 as its last act."""

    num_steps: int
    num_examples: int  # trained on
    num_too_long: int  # left out: more than `max_length` tokens
    train_tokens: int  # seen, padding excluded
    train_loss: float  # mean over the last epoch's steps, nats a token
    train_seconds: float  # wall time, start-up and saving included
    num_parameters: int
    world_size: int


class TrainingError(LitecotError):
    """Training could not start or broke; the message is one line, then the end of the log."""
