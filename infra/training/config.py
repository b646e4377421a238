"""What a training run is told; importing it loads no torch, no deepspeed.

Invariant: (config, base weights, examples in order) determine the trained weights, on CPU bit by
bit. What only says where and how often (`RUNTIME_SETTINGS`) determines nothing of them.

A sample recipe table:
    [train]
    device = "cpu"
    zero = "zero2"
    epochs = 3
    learning_rate = 1e-3
    per_rank_batch_size = 16
"""

from __future__ import annotations

from math import ceil
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Zero = Literal["zero2", "zero3", "zero3-offload"]
Device = Literal["gpu", "cpu"]
Batching = Literal["auto", "packed", "grouped", "random"]

CPU_BIN = 512  # tokens of a packed bin where unset: on CPU its mask grows with the square

# They change neither what is learnt nor in which order: a run goes on where another left off,
# on other devices and with checkpoints at other times.
RUNTIME_SETTINGS = (
    *("num_ranks", "device", "zero", "per_rank_batch_size", "gradient_accumulation"),
    *("checkpoint_every_s", "checkpoint_every_steps", "keep_checkpoints"),
)
# They decide through `batch_size` and `how_batched` alone.
BATCH_SETTINGS = ("global_batch_size", "batching")


class LoraSettings(BaseModel):
    """Low-rank adapters, merged into full weights at the end (MACC, METHODS 2.3; needs `peft`).

    Rank 8, alpha 16 on all linear layers: TokenSkip's repository, the safe default for MACC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=8, ge=1, description="width of the adapters")
    alpha: int = Field(default=16, ge=1, description="adapters are scaled by alpha / rank")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share of adapter inputs dropped")


class TrainConfig(BaseModel):
    """Supervised fine-tuning of the student (METHODS 1.6 LiteCoT, 2.3 MACC).

    Defaults are the published Liter 7B recipe: AdamW, lr 5e-5, cosine, 10% warm-up, RoPE base and
    8K context [given]; 3 epochs, min-lr rate 0.1, weight decay 1e-4, bf16, ZeRO-3, length 8192,
    packing and seed 233, 1 000 rows held out [repo].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_ranks: int = Field(
        default=2, ge=1, description="processes, one a GPU (or a share of cores), on all nodes"
    )
    device: Device = Field(default="gpu", description="what the ranks compute on; cpu needs no GPU")
    zero: Zero = Field(
        default="zero3",
        description="DeepSpeed's stage: infra/deepspeed/<zero>.json, adapted to the device",
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        default="bfloat16", description="of the weights in forward and backward passes"
    )
    epochs: int = Field(default=3, ge=1, description="times each example is seen")
    max_steps: int | None = Field(
        default=None, ge=1, description="optimizer steps, instead of the epochs' worth"
    )
    max_tokens: int | None = Field(
        default=None,
        ge=1,
        description="tokens seen, instead of the epochs' worth; the last step may go beyond",
    )
    learning_rate: float = Field(default=5e-5, gt=0, description="the highest, after warm-up")
    lr_scheduler: Literal["cosine", "linear", "constant_with_warmup"] = Field(
        default="cosine", description="how the learning rate falls"
    )
    min_lr_rate: float = Field(
        default=0.1, ge=0, le=1, description="cosine's floor, share of the lr"
    )
    warmup_ratio: float = Field(default=0.1, ge=0, lt=1, description="share of all steps")
    weight_decay: float = Field(default=1e-4, ge=0, description="AdamW's")
    max_grad_norm: float = Field(default=1.0, gt=0, description="longer gradients are scaled down")
    per_rank_batch_size: int = Field(
        default=1, ge=1, description="examples (packed: bins) a rank and microbatch"
    )
    gradient_accumulation: int = Field(default=1, ge=1, description="microbatches a step")
    global_batch_size: int | None = Field(
        default=None,
        ge=1,
        description="examples (packed: bins) a step over all ranks; sets gradient_accumulation",
    )
    max_length: int = Field(
        default=8192, ge=8, description="tokens; longer examples are left out, never cut"
    )
    batching: Batching = Field(
        default="auto",
        description="packed bins, grouped by length, or random; auto: packed on GPUs, grouped on"
        " CPU",
    )
    bin_length: int | None = Field(
        default=None, ge=8, description="tokens a packed bin; unset: max_length"
    )
    gradient_checkpointing: bool = Field(
        default=False, description="activations computed again instead of kept"
    )
    rope_theta: float | None = Field(
        default=None, gt=0, description="RoPE base; unset keeps the model's, Liter uses 100 000"
    )
    compress_token: Literal["special", "text"] = Field(
        default="special",
        description="<compress> as a token of its own, or as plain text before the question",
    )
    held_out_examples: int = Field(
        default=1000, ge=0, description="kept out to measure the loss on; at most a tenth"
    )
    held_out_every: float = Field(
        default=0.1, gt=0, le=1, description="share of all steps between held-out losses"
    )
    student: Literal["last", "best"] = Field(
        default="last", description="weights that become the student: last, or least held-out loss"
    )
    divergence_factor: float = Field(
        default=2.0,
        ge=0,
        description="stop where the loss is this many times the first and does not fall; 0 never",
    )
    checkpoint_every_s: float = Field(
        default=1800.0, gt=0, description="seconds between checkpoints, at most"
    )
    checkpoint_every_steps: int | None = Field(
        default=None, ge=1, description="steps between checkpoints, at most"
    )
    keep_checkpoints: int = Field(
        default=2, ge=1, description="of least held-out loss kept while training, beside the latest"
    )
    seed: int = Field(default=233, ge=0, description="of order, held-out choice and new weights")
    lora: LoraSettings | None = Field(default=None, description="adapters; unset: all weights")

    @model_validator(mode="before")
    @classmethod
    def _name_old_settings(cls, given: object) -> object:
        if isinstance(given, dict):
            if given.get("zero") == "zero2-cpu":
                raise ValueError("zero = 'zero2-cpu' is now zero = 'zero2' with device = 'cpu'")
            if "group_by_length" in given:
                raise ValueError("group_by_length is now batching = 'grouped' (or 'random')")
        return given

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if self.device == "cpu" and self.dtype != "float32":
            raise ValueError("device = 'cpu' trains in dtype = 'float32': set both")
        if self.max_steps is not None and self.max_tokens is not None:
            raise ValueError("max_steps and max_tokens both say when training ends: set one")
        microbatch = self.num_ranks * self.per_rank_batch_size
        if self.global_batch_size is not None and self.global_batch_size % microbatch:
            raise ValueError(
                f"global_batch_size = {self.global_batch_size} is no multiple of num_ranks x"
                f" per_rank_batch_size = {self.num_ranks} x {self.per_rank_batch_size}"
            )
        return self

    @property
    def accumulation(self) -> int:
        """Microbatches an optimizer step."""
        if self.global_batch_size is None:
            return self.gradient_accumulation
        return ceil(self.global_batch_size / (self.num_ranks * self.per_rank_batch_size))

    @property
    def batch_size(self) -> int:
        """Examples (packed: bins) an optimizer step, over all ranks."""
        return self.num_ranks * self.per_rank_batch_size * self.accumulation

    @property
    def unset_bin_length(self) -> int:
        """Tokens a packed bin where `bin_length` is unset: attention on GPUs costs what the
        examples cost."""
        return self.max_length if self.device == "gpu" else min(CPU_BIN, self.max_length)

    @property
    def how_batched(self) -> Literal["packed", "grouped", "random"]:
        """`batching`, auto resolved: packed where attention has kernels for it. What each does on
        a CPU is in docs/benchmarks.md."""
        if self.batching != "auto":
            return self.batching
        return "packed" if self.device == "gpu" else "grouped"
