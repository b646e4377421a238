"""Ctrl-C and SIGTERM end a run tidily: what is finished is saved, and the run can be resumed.

The work runs in a thread with an event loop of its own and the main thread only listens, because
Prefect and Ray install signal handlers of their own in the thread that runs the flow. Invariant:
the first signal cancels the work and waits for its clean-up; the second ends the process at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, Generic, TypeVar

from flows.cli.messages import EXIT_INTERRUPTED

ResultT = TypeVar("ResultT")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
POLL_S = 0.2


class _Work(Generic[ResultT]):
    def __init__(self, start: Callable[[], Awaitable[ResultT]]) -> None:
        self._start = start
        self._cancel: Callable[[], Any] | None = None
        self.is_interrupted = False
        self.result: ResultT | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = asyncio.run(self._work())
        except BaseException as error:  # handed to the main thread
            self.error = error

    async def _work(self) -> ResultT:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        assert task is not None
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        return await self._start()

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.is_interrupted:
            os._exit(EXIT_INTERRUPTED)
        self.is_interrupted = True
        if self._cancel is not None:
            self._cancel()


def run_interruptibly(start: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """The awaited result of `start`. Raises what it raises; KeyboardInterrupt where interrupted."""
    work = _Work(start)
    before = {number: signal.signal(number, work.interrupt) for number in SIGNALS}
    thread = threading.Thread(target=work.run, name="flow")
    try:
        thread.start()
        while thread.is_alive():
            thread.join(POLL_S)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if work.is_interrupted:
        raise KeyboardInterrupt
    if work.error is not None:
        raise work.error
    assert work.result is not None
    return work.result
