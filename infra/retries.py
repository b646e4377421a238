"""Tries again what may yet succeed: backoff, jitter, a budget, and the server's own Retry-After.

Invariant: only TransientError is tried again; everything else passes through untouched.
"""

from __future__ import annotations

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from tasks.ports import (
    ChatModel,
    Completion,
    Prompt,
    Sampling,
    ScoreRequest,
    ScoringModel,
    TokenScores,
    TransientError,
)

_BACKOFF = wait_exponential_jitter(initial=0.5, max=60)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, TransientError) else None
    return max(asked or 0.0, _BACKOFF(state))


def retrying(max_attempts: int) -> AsyncRetrying:
    """A fresh retry policy of `max_attempts` tries in all."""
    return AsyncRetrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(max_attempts),
        wait=_wait,
        reraise=True,
    )


class RetryingChat:
    """A ChatModel that tries again."""

    def __init__(self, model: ChatModel, max_attempts: int) -> None:
        self._model = model
        self._max_attempts = max_attempts

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def engine(self) -> str:
        return self._model.engine

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        """As the model's, after at most `max_attempts` tries."""
        return await retrying(self._max_attempts)(self._model.complete, prompt, sampling)


class RetryingScorer:
    """A ScoringModel that tries again."""

    def __init__(self, model: ScoringModel, max_attempts: int) -> None:
        self._model = model
        self._max_attempts = max_attempts

    @property
    def name(self) -> str:
        return self._model.name

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        """As the model's, after at most `max_attempts` tries."""
        return await retrying(self._max_attempts)(self._model.score, request)
