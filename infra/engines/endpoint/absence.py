"""A server that was there and is gone: its requests wait for it, and a task looks for it.

Role: a fault may mean that nothing listens any more; one look (a cheap GET) tells. While the server
is gone nothing is sent to it, so no try of any record is used up. Invariants: one task an event
loop looks; a server that answers anything but 502, 503 and 504 is there; after `outage_s` the wait
is over, in one line with the remedy.

A sample, as a person reads it:
    http://gpu3:8000/v1 is gone (ClientConnectorError: Connection refused): the run waits for it,
    900 s at most (LITECOT_OUTAGE_S)
    http://gpu3:8000/v1 is back after 42 s
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

FIRST_LOOK_S = 0.5
LONGEST_LOOK_S = 10.0
STATUSES = {502, 503, 504}  # what a proxy says of a server that is gone

_log = logging.getLogger("litecot.endpoint")  # parameters.LOGGER
Look = Callable[[], Awaitable[str | None]]  # what is wrong; None: it is there


class Absence:
    """Of one server, seen from one event loop. `over` says that it took too long, in a line."""

    def __init__(
        self, url: str, *, outage_s: float, look: Look, over: Callable[[str], None]
    ) -> None:
        self._url = url
        self._outage_s = outage_s
        self._look = look
        self._over = over
        self._waiting: asyncio.Task[None] | None = None

    def suspect(self) -> None:
        """A request met what may be one."""
        if self._outage_s > 0 and (self._waiting is None or self._waiting.done()):
            self._waiting = asyncio.create_task(self._wait())

    async def ended(self) -> None:
        """Return once the server is there, or the wait is over; at once where it was never gone."""
        if self._waiting is not None:
            await asyncio.shield(self._waiting)

    async def _wait(self) -> None:
        began, pause_s = time.monotonic(), FIRST_LOOK_S
        fault = await self._look()
        if fault is None:
            return
        most = f"{self._outage_s:g} s at most (LITECOT_OUTAGE_S)"
        _log.warning("%s is gone (%s): the run waits for it, %s", self._url, fault, most)
        while fault is not None:
            left_s = self._outage_s - (time.monotonic() - began)
            if left_s <= 0:
                self._over(
                    f"{self._url} was gone for {self._outage_s:g} s ({fault}): start it, then run "
                    "the same command again; LITECOT_OUTAGE_S is how long a run waits"
                )
                return
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, LONGEST_LOOK_S)
            fault = await self._look()
        _log.warning("%s is back after %.0f s", self._url, time.monotonic() - began)
