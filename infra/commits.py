"""Group commit: records that end in the same turn of the event loop are one transaction.

Role: between the runner and the corpus' writer. Invariant: a record whose `finish` returned is
durable, just as with the writer's own; a single record in flight shares nothing and waits for
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from infra.storage import CorpusError, CorpusWriter
from tasks.schemas import Row


class Commits:
    """Finished records of one stage; belongs to one event loop."""

    def __init__(self, writer: CorpusWriter) -> None:
        self._writer = writer
        self._waiting: list[tuple[Callable[[], object], asyncio.Future[None]]] = []

    async def finish(self, input_id: str, rows: Sequence[Row], **stamp: Any) -> None:
        """See CorpusWriter.finish, with its errors."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._commit)  # after the records that end now
        self._waiting.append((lambda: self._writer.finish(input_id, rows, **stamp), done))
        await done

    def _commit(self) -> None:
        batch, self._waiting = self._waiting, []
        faults: list[BaseException | None]
        try:
            with self._writer.together():
                faults = [_fault(finish) for finish, _ in batch]
        except BaseException as error:  # nothing of the batch is stored, whatever stopped it
            faults = [error] * len(batch)
        for (_, done), fault in zip(batch, faults, strict=True):
            if done.cancelled():
                continue
            if fault is None:
                done.set_result(None)
            else:
                done.set_exception(fault)


def _fault(finish: Callable[[], object]) -> Exception | None:
    """What is wrong with this one record; a fault of the corpus is everybody's, and raised."""
    try:
        finish()
    except CorpusError:
        raise
    except Exception as error:
        return error
    return None
