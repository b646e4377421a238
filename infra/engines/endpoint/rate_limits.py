"""Keeps within what a server allows a minute, requests and tokens, by spacing requests evenly.

Invariants: requests never exceed their allowance; tokens keep to theirs on average, as a request's
cost is only guessed until its reply tells; one that costs more than a minute's allowance goes all
the same and the next wait for it. Safe in many threads.

A sample: with requests_per_minute=60, `reserve` gives wait_s 0.0, and 1.0 when asked again at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

CHARS_A_TOKEN = 4  # of a prompt that nobody has tokenised
MEMORY = 16  # replies that the mean length of a reply looks back on


@dataclass(frozen=True)
class Cost:
    """What is known of a request before it is sent."""

    prompt_chars: int
    max_tokens: int
    num_candidates: int


@dataclass(frozen=True)
class Reservation:
    """A turn in the sequence: `wait_s` seconds from when it was taken."""

    wait_s: float
    tokens: float  # expected, prompt and reply
    num_candidates: int


class _Allowance:
    def __init__(self, a_minute: int) -> None:
        self._a_second = a_minute / 60
        self._free_at_s = 0.0  # when all that was reserved so far has been earned

    def reserve(self, amount: float, now_s: float) -> float:
        start_s = max(now_s, self._free_at_s)
        self._free_at_s = start_s + amount / self._a_second
        return start_s - now_s

    def correct(self, amount: float) -> None:
        self._free_at_s += amount / self._a_second


class RateLimits:
    """The allowances of one endpoint; None: not limited."""

    def __init__(
        self, *, requests_per_minute: int | None = None, tokens_per_minute: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._requests = _Allowance(requests_per_minute) if requests_per_minute else None
        self._tokens = _Allowance(tokens_per_minute) if tokens_per_minute else None
        self.are_set = bool(self._requests or self._tokens)
        self._clock = clock
        self._lock = threading.Lock()
        self._mean_tokens: float | None = None  # of one candidate, as replies have shown

    def reserve(self, cost: Cost) -> Reservation:
        """Take the next turn; it is spent whether it is used or not."""
        with self._lock:
            now_s = self._clock()
            known = self._mean_tokens
            expected = cost.max_tokens if known is None else min(known, cost.max_tokens)
            tokens = cost.prompt_chars / CHARS_A_TOKEN + expected * cost.num_candidates
            waits_s = [
                self._requests.reserve(1, now_s) if self._requests else 0.0,
                self._tokens.reserve(tokens, now_s) if self._tokens else 0.0,
            ]
            return Reservation(max(waits_s), tokens, cost.num_candidates)

    def settle(self, taken: Reservation, *, prompt_tokens: int, completion_tokens: int) -> None:
        """Put what was really used instead of what was expected."""
        with self._lock:
            mean = completion_tokens / taken.num_candidates
            known = mean if self._mean_tokens is None else self._mean_tokens
            self._mean_tokens = known + (mean - known) / MEMORY
            if self._tokens:
                self._tokens.correct(prompt_tokens + completion_tokens - taken.tokens)
