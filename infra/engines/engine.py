"""What hosts a model: its configuration and what every engine can do.

Role: the one vocabulary of engines (`EngineConfig`, `Engine`, `open_engine`). Invariant: importing
this module loads no model library and no HTTP client; `open_engine` imports the engine it opens.

A sample: EngineConfig(engine="vllm", model="Qwen/Qwen2.5-7B", vllm={"tensor_parallel": 2})
"""

from __future__ import annotations

from typing import Protocol

from tasks.ports import Completion, Prompt, Sampling, ScoreRequest, TokenScores

EngineInfo = dict[str, str | int | float]


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
