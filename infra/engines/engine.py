"""What hosts a model: its configuration and what every engine can do.

Role: the one vocabulary of engines (`EngineConfig`, `Engine`, `open_engine`). Invariant: importing
this module loads neither torch nor transformers; `open_engine` imports the engine it opens.

A sample: EngineConfig(model="nano:teacher", dtype="float64", max_batch_size=128)
"""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from tasks.ports import Completion, Prompt, Sampling, ScoreRequest, TokenScores

Dtype = Literal["auto", "float64", "float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]
EngineInfo = dict[str, str | int | float]


class EngineConfig(BaseModel):
    """Which model, and how it is hosted. Equal configurations share one engine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Literal["transformers"] = "transformers"
    model: str = Field(min_length=1)
    """A local folder, a hub id, or nano:teacher / nano:student."""
    revision: str | None = None
    dtype: Dtype = "auto"
    """auto: the checkpoint's own on CUDA, float32 on CPU. float64 makes batching exact."""
    device: Device = "auto"
    max_batch_size: int = Field(default=64, ge=1)
    """Rows (candidates) decoded together."""
    max_batch_tokens: int = Field(default=16384, ge=1)
    """Tokens of one prefill or scoring pass, padding included; a longer row goes alone."""
    max_model_len: int | None = Field(default=None, ge=2)
    """Prompt plus completion, tokens; None: what the model was made for."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; None: all cores."""


class Engine(Protocol):
    """A loaded model that writes and reads. Safe to call from many coroutines at once."""

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        """`num_candidates` completions, in candidate order. Raises Transient-, PermanentError."""
        ...

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        """One TokenScores a target, in order. Raises Transient- or PermanentError."""
        ...

    def count(self, text: str) -> int:
        """Tokens of `text`, control tokens read as plain text."""
        ...

    def info(self) -> EngineInfo:
        """What runs here, and how much it has done."""
        ...

    def close(self) -> None:
        """Stop; whatever still waits gets a TransientError."""
        ...


def open_engine(config: EngineConfig) -> Engine:
    """Load the model. Raises ModelFilesError before anything heavy is imported."""
    from infra.engines.model_files import check_model

    check_model(config)
    from infra.engines.transformers_engine import TransformersEngine

    return TransformersEngine(config)
