"""Group commit: what ends in the same turn of the event loop is one transaction.

Role: between the runner and the corpus' writer. Invariants: a record whose `finish` returned is
durable, just as with the writer's own; a request sent or a reply that arrived is durable before the
loop's next turn but one, and a reply whose record is finished by then is not written at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from infra.storage import CorpusError, CorpusWriter
from tasks.schemas import Row


class Commits:
    """Finished records and requests of one stage; belongs to one event loop.

    A RequestJournal (infra/runs/replay.py). Whoever comes after a corpus could not be written
    gets the same CorpusError.
    """

    def __init__(self, writer: CorpusWriter) -> None:
        self._writer = writer
        self._waiting: list[tuple[Callable[[], object], asyncio.Future[None]]] = []
        self._issued: list[str] = []
        self._replies: dict[str, str] = {}
        self._is_scheduled = False
        self._fault: CorpusError | None = None

    def issued(self, key: str) -> None:
        """See CorpusWriter.issued."""
        self._issued.append(key)
        self._schedule()

    def completed(self, key: str, payload: str) -> None:
        """See CorpusWriter.completed."""
        self._replies[key] = payload
        self._schedule()

    def lookup(self, key: str) -> str | None:
        """See CorpusWriter.lookup."""
        return self._replies.get(key) or self._writer.lookup(key)

    async def finish(
        self, input_id: str, rows: Sequence[Row], *, requests_done: Sequence[str] = (), **stamp: Any
    ) -> None:
        """See CorpusWriter.finish, with its errors."""

        def store() -> None:
            self._writer.finish(input_id, rows, requests_done=requests_done, **stamp)
            for key in requests_done:
                self._replies.pop(key, None)

        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((store, done))
        self._schedule()
        await done

    def commit(self) -> None:
        """Store now what waits; who waits for it is told, and so is who comes later."""
        self._is_scheduled = False
        batch, self._waiting = self._waiting, []
        faults: list[BaseException | None]
        try:
            with self._writer.together():
                faults = [_fault(store) for store, _ in batch]
                self._store_requests()
        except BaseException as error:  # nothing of the batch is stored, whatever stopped it
            faults = [error] * len(batch)
            self._fault = error if isinstance(error, CorpusError) else None
            with suppress(CorpusError), self._writer.together():  # what was paid, if there is room
                self._store_requests()
        for (_, done), fault in zip(batch, faults, strict=True):
            if done.cancelled():
                continue
            if fault is None:
                done.set_result(None)
            else:
                done.set_exception(fault)

    def _store_requests(self) -> None:
        issued, self._issued = self._issued, []
        replies, self._replies = self._replies, {}
        for key in issued:
            self._writer.issued(key)
        for key, payload in replies.items():
            self._writer.completed(key, payload)

    def _schedule(self) -> None:
        """In two turns: a record whose only reply came in this one is finished in the next."""
        if self._fault is not None:
            raise self._fault
        if not self._is_scheduled:
            self._is_scheduled = True
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self.commit)


def _fault(store: Callable[[], object]) -> Exception | None:
    """What is wrong with this one record; a fault of the corpus is everybody's, and raised."""
    try:
        store()
    except CorpusError:
        raise
    except Exception as error:
        return error
    return None
