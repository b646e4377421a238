"""What a run needs of whoever hosts its models: Protocols only."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from infra.engines import EngineConfig
from tasks.ports import ChatModel, ScoringModel


class HostedModel(ChatModel, ScoringModel, Protocol):
    """A model that writes and reads."""


class ModelHost(Protocol):
    """Where models live; infra.runs.models.RunModels is the one over Ray and HTTP."""

    def model(self, config: EngineConfig, *, affinity: str = "") -> HostedModel:
        """A model to ask; requests of one `affinity` prefer one replica (its prefix cache)."""
        ...

    async def reside(self, configs: Collection[EngineConfig]) -> None:
        """From now on only `configs` are asked: others are put to sleep or ended.

        Loads nothing. None at all: every engine is ended, for training needs the machine.
        """
        ...

    def close(self) -> None: ...
