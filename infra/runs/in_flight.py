"""Who may be in flight: a bounded number of records, of which one that waits makes room.

Invariants: no more than `in_flight` records are at work at once; a record that waits to try again
counts as waiting, not as work, so the slow and the refused never delay the others; no more than
ALIVE_PER_SLOT times as many are alive in all, so memory stays flat when everybody waits.

    slots = Slots(256, on_free=start_a_worker)
    async with slots.taken() as slot:
        ...                       # at work
        await slot.pause(30)     # a worker that `on_free` started is at work meanwhile
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

ALIVE_PER_SLOT = 8


class Slots:
    """`in_flight` slots. Belongs to one event loop.

    `on_free` is told when a slot is lent and nobody waits for one: it may start another worker.
    """

    def __init__(self, in_flight: int, *, on_free: Callable[[], object]) -> None:
        self._at_work = asyncio.Semaphore(in_flight)
        self._most_alive = in_flight * ALIVE_PER_SLOT
        self._on_free = on_free
        self._num_alive = 0
        self._num_wanting = 0

    @property
    def is_wanted(self) -> bool:
        """Somebody waits for a slot: who has done a record should leave."""
        return self._num_wanting > 0

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[Slot]:
        """The next free slot, until the end of `with`."""
        slot = Slot(self)
        self._num_alive += 1
        try:
            await slot.resume()
            yield slot
        finally:
            self._num_alive -= 1
            slot.leave()

    async def acquire(self) -> None:
        self._num_wanting += 1
        try:
            await self._at_work.acquire()
        finally:
            self._num_wanting -= 1

    def release(self) -> None:
        self._at_work.release()

    def lent(self) -> None:
        """A slot is free that its owner wants back."""
        if not self.is_wanted and self._num_alive < self._most_alive:
            self._on_free()


class Slot:
    """One worker's slot."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._num_held = 0
        self._num_waiting = 0

    async def pause(self, seconds: float) -> None:
        """Wait, the slot lent to others; of several requests at once, the last takes it back."""
        self._num_waiting += 1
        if self._num_held:
            self.leave()
            self._slots.lent()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._num_waiting -= 1
        if not self._num_waiting:
            await self.resume()

    async def resume(self) -> None:
        """Take a slot, once there is one."""
        await self._slots.acquire()
        self._num_held += 1

    def leave(self) -> None:
        """Give it back."""
        for _ in range(self._num_held):
            self._slots.release()
        self._num_held = 0
