"""Between ranks and their driver: what happened, and what is wished. Knows no Ray.

Role: an actor on the driver's node (ray_driver.py); small, so that it starts at once. Invariant:
nobody waits for anybody: ranks and controller tell, the driver takes. What one caller tells without
waiting may be heard in another order.

A sample, of the driver: `ray.get(monitor.take.remote()).reports`
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from infra.training.reports import StepReport, TrainStart


@dataclass(kw_only=True)
class News:
    """Since the driver last asked."""

    attempts: int = 0  # of all runs so far
    began: bool = False  # an attempt that was not lost since
    start: TrainStart | None = None
    reports: list[StepReport] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    fault: tuple[str, str] | None = None  # reason, traceback


class Monitor:
    """What the ranks told and what their driver wishes; an actor on the driver's node."""

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._stopping = asyncio.Event()
        self._num_lost = attempts  # attempts that are over
        self._news = News(attempts=attempts)

    # --- of ranks

    def begin(self) -> int:
        """Rank 0 of a new attempt is there; its number."""
        self._attempts += 1
        self._news.began = True
        self._news.attempts = self._attempts
        return self._attempts

    def start(self, start: TrainStart) -> None:
        """See RankLink."""
        self._news.start = start

    def tell(self, reports: list[StepReport]) -> None:
        """See RankLink."""
        self._news.reports += reports

    async def until_stopped(self) -> None:
        """Answered once the driver wishes to stop."""
        await self._stopping.wait()

    def failed(self, reason: str, trace: str, *, attempt: int) -> None:
        """A fault that no other attempt would mend. The first is heard; of an attempt that is lost
        none: its ranks lose one another in the middle of a step, and say all sorts of things."""
        if attempt > self._num_lost:
            self._news.fault = self._news.fault or (reason, trace)

    # --- of Ray Train's controller

    def lost(self, words: list[str]) -> None:
        """Workers are gone or raised what another attempt may mend."""
        self._news.lost += words
        self._news.began = False
        self._num_lost = self._attempts

    # --- of the driver

    def stop(self) -> None:
        """Rank 0 hears it at the end of its step."""
        self._stopping.set()

    def take(self) -> News:
        """What is new since it was last asked."""
        news, self._news = self._news, News(attempts=self._attempts)
        return news
