"""The thread that owns a model: it decodes one running batch and reads scoring requests in between.

Invariants: requests are admitted oldest first; a result is handed over as soon as its own rows are
done; a failed pass fails the requests that were in it, and the engine goes on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Any

from infra.engines.transformers.decoding import DecodingRow, RunningBatch
from infra.engines.transformers.score_queue import ScoreQueue
from infra.engines.transformers.scoring import score_rows
from infra.engines.transformers.tickets import CompletionTicket, ScoreTicket
from tasks.ports import TransientError

PATIENCE_STEPS = 8  # rows too few for an eighth of the batch wait so long for company


class EngineWorker:
    """Queues in front of a RunningBatch. `submit_*` from any thread; the rest is the worker's."""

    def __init__(
        self, model: Any, batch: RunningBatch, *, max_batch_size: int, max_batch_tokens: int
    ) -> None:
        self._model = model
        self._batch = batch
        self._max_batch_size = max_batch_size
        self._max_batch_tokens = max_batch_tokens
        self._rows: deque[DecodingRow] = deque()
        self._scores = ScoreQueue()
        self._changed = threading.Condition()
        self._closed = False
        self._steps = 0
        self._thread = threading.Thread(target=self._work, name="litecot-engine", daemon=True)
        self._thread.start()

    def submit_rows(self, ticket: CompletionTicket) -> None:
        """Queue a request to write."""
        with self._open():
            self._rows.extend(ticket.rows)
            self._changed.notify()

    def submit_score(self, ticket: ScoreTicket) -> None:
        """Queue a request to read."""
        with self._open():
            self._scores.add(ticket)
            self._changed.notify()

    def close(self) -> None:
        """Stop after the pass that is running; what still waits gets a TransientError."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _open(self) -> threading.Condition:
        if self._closed:
            raise TransientError("the engine is closed")
        return self._changed

    def _work(self) -> None:
        while self._wait():
            try:
                self._decode()
            except Exception as error:  # out of memory, say: its requests may be tried again
                self._fail(self._batch.clear(), error)
            if self._scores and (not self._batch.rows or self._steps % PATIENCE_STEPS == 0):
                self._score()
        closed = RuntimeError("the engine was closed")
        self._fail([*self._batch.clear(), *self._rows], closed)
        for waiting in self._scores.take_all():
            waiting.ticket.fail(_retry(closed))

    def _wait(self) -> bool:
        """Sleep while there is nothing to do; False once closed."""
        with self._changed:
            while not (self._closed or self._rows or self._scores or self._batch.rows):
                self._changed.wait()
            return not self._closed

    def _decode(self) -> None:
        if self._steps % PATIENCE_STEPS == 0:
            self._batch.drop_abandoned()
        self._admit()
        if self._batch.rows:
            self._batch.step()
            self._steps += 1

    def _admit(self) -> None:
        """Oldest first, a handful at a time: a prefill costs a pass, however few its rows."""
        with self._changed:
            ready = min(self._max_batch_size - len(self._batch.rows), len(self._rows))
            is_handful = ready * 8 >= self._max_batch_size or not self._batch.rows
            if not ready or not (is_handful or self._steps % PATIENCE_STEPS == 0):
                return
            taken = [self._rows.popleft() for _ in range(ready)]
        wanted = [row for row in taken if not row.owner.is_settled]
        try:
            self._batch.admit(wanted)
        except Exception as error:
            self._fail(wanted, error)
            raise

    def _score(self) -> None:
        with self._changed:
            taken = self._scores.take(self._max_batch_tokens)
        if not taken:
            return
        try:
            found = score_rows(self._model, [waiting.row for waiting in taken])
        except Exception as error:
            for waiting in taken:
                waiting.ticket.fail(_retry(error))
            return
        for waiting, scores in zip(taken, found, strict=True):
            waiting.ticket.finish(waiting.number, scores)

    def _fail(self, rows: Iterable[DecodingRow], error: Exception) -> None:
        for row in rows:
            row.owner.fail(_retry(error))


def _retry(error: Exception) -> TransientError:
    return TransientError(f"engine pass failed: {type(error).__name__}: {error}")
