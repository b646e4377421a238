"""Tries again what may yet succeed: backoff, jitter, a budget, and the server's own Retry-After.

Invariant: only TransientError is tried again; everything else passes through untouched. Waiting is
left to the caller's `pause`, so that a record that waits can make room for others.

A sample, seconds before the tries: 0, 0.25..0.5, 0.5..1, 1..2, 2..4, 4..8, ... at most 30..60.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

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

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 60.0

Reply = TypeVar("Reply")
Pause = Callable[[float], Awaitable[None]]  # seconds


async def persist(ask: Callable[[], Awaitable[Reply]], *, max_attempts: int, pause: Pause) -> Reply:
    """What `ask` gives, after at most `max_attempts` tries. Raises the last try's error."""
    attempt = 1
    while True:
        try:
            return await ask()
        except TransientError as error:
            if attempt >= max_attempts:
                raise
            wait_s = (error.retry_after_s or 0.0) + backoff_s(attempt)
        await pause(wait_s)
        attempt += 1


def backoff_s(attempt: int) -> float:
    """Seconds to wait after try `attempt`, from 1; half of it by chance, so that herds disperse."""
    longest = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (attempt - 1))
    return random.uniform(longest / 2, longest)


class RetryingChat:
    """A ChatModel that tries again."""

    def __init__(self, model: ChatModel, *, max_attempts: int, pause: Pause) -> None:
        self._model = model
        self._max_attempts = max_attempts
        self._pause = pause

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def engine(self) -> str:
        return self._model.engine

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        """As the model's, after at most `max_attempts` tries."""
        return await persist(
            lambda: self._model.complete(prompt, sampling),
            max_attempts=self._max_attempts,
            pause=self._pause,
        )


class RetryingScorer:
    """A ScoringModel that tries again."""

    def __init__(self, model: ScoringModel, *, max_attempts: int, pause: Pause) -> None:
        self._model = model
        self._max_attempts = max_attempts
        self._pause = pause

    @property
    def name(self) -> str:
        return self._model.name

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        """As the model's, after at most `max_attempts` tries."""
        return await persist(
            lambda: self._model.score(request),
            max_attempts=self._max_attempts,
            pause=self._pause,
        )
