"""How fast a stage goes, in words: rate, time left, tokens a second, cost so far, rejections.

Invariant: rates are of the last minute, so they follow what the servers do; what is not known yet
is left out. Costs are of replies that came in this invocation, by the recipe's table of prices.

A sample: "4.1/s, 50 s left, 8 300 tokens/s, 0.12 USD so far, 3 rejected"
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from flows.progress.training import duration, rounded
from infra.runs.account import Account

WINDOW_S = 60.0
SETTLED_S = 2.0  # shorter than this a rate says nothing
FIRST_RECORDS = 3  # fewer say nothing of the rest
LINE_EVERY_S = 30.0


class Price(Protocol):
    """Of a million tokens, as a recipe's table of prices has it."""

    @property
    def currency(self) -> str: ...
    @property
    def input(self) -> float: ...
    @property
    def output(self) -> float: ...


class Pace:
    """Of one stage, over its shards. Told by `look`, asked for words."""

    def __init__(
        self, account: Account, prices: Mapping[Any, Price],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.account = account
        self._prices = prices
        self._clock = clock
        self._seen: deque[tuple[float, int, int]] = deque()  # when, records done, tokens
        self._began = self._said_at = clock()
        self.done = self.pending = 0

    def look(self, done: int, pending: int) -> None:
        """Where the stage is now."""
        self.done, self.pending = done, pending
        now = self._clock()
        self._seen.append((now, done, self.account.completion_tokens))
        while now - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()

    def _per_s(self, which: int) -> float | None:
        if self.done >= self.pending or not self._seen:
            return None
        first, last = self._seen[0], self._seen[-1]
        seconds = last[0] - first[0]
        return None if seconds < SETTLED_S else (last[which] - first[which]) / seconds

    @property
    def per_s(self) -> float | None:
        """Records; None before there are some."""
        return self._per_s(1) if self.done >= FIRST_RECORDS else None

    @property
    def tokens_per_s(self) -> float | None:
        """Of replies."""
        return self._per_s(2)

    @property
    def left_s(self) -> float | None:
        """At the rate of the last minute."""
        rate = self.per_s
        return (self.pending - self.done) / rate if rate and self.done < self.pending else None

    def cost(self) -> dict[str, float]:
        """So far, by currency; nothing where the recipe names no price."""
        sums: dict[str, float] = {}
        for role, used in self.account.used.items():
            if price := self._prices.get(role):
                paid = used.prompt_tokens * price.input + used.completion_tokens * price.output
                sums[price.currency] = sums.get(price.currency, 0.0) + paid / 1e6
        return sums

    @property
    def words(self) -> str:
        """What a bar does not show."""
        return standing_words(self.told())

    @property
    def summary(self) -> str:
        """With what a bar does show; of what is over the rate of all of it."""
        parts = [f"{self.done} of {self.pending} records"]
        if self.done and self.done >= self.pending:
            parts.append(rate_words(self.done / max(self._seen[-1][0] - self._began, 1e-3)))
        return ", ".join([*parts, *filter(None, [self.words])])

    def told(self) -> dict[str, Any]:
        """For `litecot status`: plain values."""
        return {
            "done": self.done,
            "pending": self.pending,
            "rows": self.account.num_rows,
            "rejected": self.account.num_rejected,
            "failed": self.account.num_failed,
            "per_s": self.per_s,
            "left_s": self.left_s,
            "tokens_per_s": self.tokens_per_s,
            "cost": self.cost(),
        }

    def line(self) -> str | None:
        """For where no bars are: now and then, and only while there is work."""
        now = self._clock()
        if now - self._said_at < LINE_EVERY_S or self.done >= self.pending:
            return None
        self._said_at = now
        return self.summary


def standing_words(told: Mapping[str, Any]) -> str:
    """What `Pace.told` says, in words; what is missing or null is left out."""
    parts = []
    if (rate := told.get("per_s")) is not None:
        parts.append(rate_words(rate))
    if (left := told.get("left_s")) is not None:
        parts.append(f"{duration(left)} left")
    if tokens := told.get("tokens_per_s"):
        parts.append(f"{rounded(tokens)} tokens/s")
    parts += [f"{paid:.2f} {currency} so far" for currency, paid in told.get("cost", {}).items()]
    parts += [f"{told[key]} {key}" for key in ("rejected", "failed") if told.get(key)]
    return ", ".join(parts)


def rate_words(per_s: float) -> str:
    """4.1/s, 12/min, 3/h: in the unit in which there is one at least."""
    for times, unit in ((1, "s"), (60, "min")):
        if per_s * times >= 1:
            rate = per_s * times
            return f"{rate:.1f}/{unit}" if rate < 10 else f"{rounded(rate)}/{unit}"
    return f"{per_s * 3600:.1f}/h" if per_s else "0/s"
