"""What a waiting caller holds while the worker thread does its request.

Invariant: a ticket is settled exactly once, by its last row, by a failure or by its caller's
cancellation, whichever comes first; the later ones find it settled and do nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Generic, TypeVar

from infra.engines.chat import ChatEncoder
from infra.engines.score_rows import ScoreRow
from infra.engines.transformers.decoding import DecodingRow
from infra.engines.transformers.sampling import RowSampler
from tasks.ports import Completion, Sampling, TokenScores

ResultT = TypeVar("ResultT")
STOP_MARGIN_TOKENS = 8  # decoded before a stop string, so that split characters come out whole


class Ticket(Generic[ResultT]):
    """A result to come, thread-safe."""

    def __init__(self) -> None:
        self.result: Future[ResultT] = Future()

    @property
    def is_settled(self) -> bool:
        """Whether nobody waits any more."""
        return self.result.done()

    def settle(self, result: ResultT) -> None:
        """Hand the result over."""
        with suppress(InvalidStateError):
            self.result.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Hand a failure over."""
        with suppress(InvalidStateError):
            self.result.set_exception(error)


class ScoreTicket(Ticket[list[TokenScores]]):
    """A request to read, settled when the last of its rows is done."""

    def __init__(self, rows: Sequence[ScoreRow]) -> None:
        super().__init__()
        self.rows = rows
        self._done: dict[int, list[TokenScores]] = {}

    def finish(self, number: int, scores: list[TokenScores]) -> None:
        """Called when row `number` has been read."""
        self._done[number] = scores
        if len(self._done) == len(self.rows):
            self.settle([each for i in range(len(self.rows)) for each in self._done[i]])


class CompletionTicket(Ticket[list[Completion]]):
    """A request to write: one row a candidate, settled when the last of them is done."""

    def __init__(self, chat: ChatEncoder, prompt_ids: list[int], sampling: Sampling) -> None:
        super().__init__()
        self._chat = chat
        self._stop = sampling.stop
        self._started = time.monotonic()
        self.rows = [self._row(prompt_ids, sampling, i) for i in range(sampling.num_candidates)]
        self._done: dict[DecodingRow, Completion] = {}

    def finish(self, row: DecodingRow) -> None:
        """Called by the running batch when a row leaves it."""
        text = self._chat.decode(row.written)
        cut = min((at for at in map(text.find, self._stop) if at >= 0), default=None)
        self._done[row] = Completion(
            text=self._chat.reply(text[:cut]),
            finish_reason=row.finish_reason,
            prompt_tokens=len(row.prompt_ids),
            completion_tokens=len(row.written),
            latency_s=time.monotonic() - self._started,
        )
        if len(self._done) == len(self.rows):
            self.settle([self._done[each] for each in self.rows])

    def _row(self, prompt_ids: list[int], sampling: Sampling, candidate: int) -> DecodingRow:
        return DecodingRow(
            prompt_ids=prompt_ids,
            max_tokens=sampling.max_tokens,
            sampler=RowSampler(sampling, candidate),
            owner=self,
            stops=self._has_stop if sampling.stop else None,
        )

    def _has_stop(self, written: list[int]) -> bool:
        """Whether the newest tokens complete a stop string (a token is at least one byte)."""
        longest = max(len(stop.encode()) for stop in self._stop)
        tail = self._chat.decode(written[-longest - STOP_MARGIN_TOKENS :])
        return any(stop in tail for stop in self._stop)
