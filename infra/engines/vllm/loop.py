"""An event loop on a thread of its own, callable from any other loop.

Invariant: a call that is cancelled is cancelled inside; a call that still runs when the loop is
closed gets a TransientError, and so does one that comes later.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from tasks.ports import TransientError

ResultT = TypeVar("ResultT")


class EngineLoop:
    """Started by the constructor."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._closed = False
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="litecot-vllm", daemon=True
        )
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """From a thread without a loop: blocks."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def call(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """From any loop. Raises TransientError where this one is closed."""
        if self._closed:
            work.close()
            raise TransientError("the engine is closed")
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(self._guarded(work), self._loop)
        )

    def close(self) -> bool:
        """Cancel what runs and end the thread; False where that was done before."""
        if self._closed:
            return False
        self._closed = True
        self.run(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        return True

    async def _guarded(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        try:
            return await work
        except asyncio.CancelledError:
            if self._closed:
                raise TransientError("the engine was closed") from None
            raise

    async def _cancel_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
