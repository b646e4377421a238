"""Models behind OpenAI-compatible servers, over one pooled asynchronous HTTP session."""

from __future__ import annotations

from collections.abc import Mapping

from infra.engines.engine import EngineConfig
from tasks.ports import Completion, PermanentError, Prompt, Sampling, ScoreRequest, TokenScores


class Endpoints:
    """The servers of one driver. Safe in many event loops. `secrets`: block name -> key."""

    def __init__(self, *, secrets: Mapping[str, str]) -> None:
        self._secrets = secrets

    def model(self, config: EngineConfig) -> EndpointModel:
        """A model to ask; nothing is connected before it is asked."""
        return EndpointModel(config)

    def close(self) -> None:
        """Close the connections."""


class EndpointModel:
    """A ChatModel (tasks.ports) at a server."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config

    @property
    def name(self) -> str:
        """The model, as the recipe names it."""
        return self._config.model

    @property
    def engine(self) -> str:
        """The kind of engine."""
        return self._config.engine

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        """See ChatModel."""
        raise NotImplementedError

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        """See ScoringModel: servers give no log-probabilities of a given text."""
        raise PermanentError("no_scoring", f"the endpoint of {self.name} cannot score texts")
