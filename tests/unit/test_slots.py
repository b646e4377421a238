"""Slots in flight: who waits makes room, and there is an end to how many wait."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from infra.runs.in_flight import ALIVE_PER_SLOT, Slot, Slots

AN_HOUR_S = 3600.0


class Crowd:
    """Workers that take a slot and wait in it; new ones start wherever one is lent."""

    def __init__(self, in_flight: int) -> None:
        self.slots = Slots(in_flight, on_free=self.start)
        self.at_work: list[Slot] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.num_started = 0

    def start(self) -> None:
        self.num_started += 1
        self.run(self.work())

    def run(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self.tasks.append(task)
        return task

    async def work(self) -> None:
        async with self.slots.taken() as slot:
            self.at_work.append(slot)
            await asyncio.sleep(AN_HOUR_S)

    async def wait(self, num_waits: int = 1, seconds: float = AN_HOUR_S) -> None:
        """Take a slot and lend it; `num_waits` requests at once."""
        async with self.slots.taken() as slot:
            await asyncio.gather(*(slot.pause(seconds) for _ in range(num_waits)))
            self.at_work.append(slot)

    async def settled(self) -> None:
        """Everything that can happen without time passing has happened."""
        for _ in range(50):
            await asyncio.sleep(0)

    def stop(self) -> None:
        for task in self.tasks:
            task.cancel()


async def test_a_waiting_record_makes_room_for_one() -> None:
    crowd = Crowd(1)
    crowd.run(crowd.wait())
    await crowd.settled()
    assert len(crowd.at_work) == 1
    crowd.stop()


async def test_two_waiting_requests_of_one_record_make_room_for_one() -> None:
    crowd = Crowd(1)
    crowd.run(crowd.wait(num_waits=2))
    await crowd.settled()
    assert crowd.num_started == 1
    assert len(crowd.at_work) == 1
    crowd.stop()


async def test_a_lent_place_goes_to_who_waits_for_one() -> None:
    crowd = Crowd(1)
    crowd.run(crowd.wait())
    crowd.run(crowd.work())
    await crowd.settled()
    assert crowd.num_started == 0
    assert len(crowd.at_work) == 1
    crowd.stop()


async def test_who_has_waited_works_only_once_there_is_a_place() -> None:
    crowd = Crowd(1)
    back = crowd.run(crowd.wait(seconds=0.0))
    other = crowd.run(crowd.work())
    await crowd.settled()
    assert crowd.slots.is_wanted
    assert not back.done()
    other.cancel()
    await asyncio.wait_for(back, 5)
    assert not crowd.slots.is_wanted


async def test_when_everybody_waits_no_more_start_than_memory_has_room_for() -> None:
    crowd = Crowd(2)
    crowd.work = crowd.wait  # type: ignore[method-assign]
    crowd.start()
    crowd.start()
    await crowd.settled()
    assert crowd.num_started == 2 * ALIVE_PER_SLOT
    crowd.stop()
