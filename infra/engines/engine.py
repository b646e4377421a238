"""What hosts a model, and what every engine can do.

Role: the Protocols of engines: `Engine`, loaded by us, and `ServedModel`, answered by somebody's
server. Invariant: importing this module loads no model library and no HTTP client.

A sample: `await engine.complete(Prompt(text="3 + 4?"), Sampling(num_candidates=4))`
"""

from __future__ import annotations

from typing import Protocol

from tasks.ports import (
    ChatModel,
    Completion,
    Prompt,
    Sampling,
    ScoreRequest,
    ScoringModel,
    TokenScores,
)

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


class ServedModel(ChatModel, ScoringModel, Protocol):
    """A model at somebody's server: asked from the driver, no process of ours between."""

    def close(self) -> None:
        """Close the connections."""
        ...
