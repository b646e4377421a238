"""Rows that wait to be read, in the order of their ids: what shares a start stands together.

Role: which rows go through the model in one pass. Invariants: the row that waits longest is always
in the next pass; the others are its neighbours. Candidates of one problem are neighbours, whatever
order they came in. Not thread-safe: its owner holds a lock.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from itertools import count

from infra.engines.score_rows import ScoreRow
from infra.engines.transformers.scoring import take_neighbours
from infra.engines.transformers.tickets import ScoreTicket


@dataclass(eq=False, frozen=True, kw_only=True)
class WaitingRow:
    """Row `number` of a ticket; `arrival` counts them."""

    ticket: ScoreTicket
    number: int
    arrival: int

    @property
    def row(self) -> ScoreRow:
        """What is to be read."""
        return self.ticket.rows[self.number]

    @property
    def ids(self) -> list[int]:
        """Its tokens."""
        return self.row.ids


class ScoreQueue:
    """Sorted by ids."""

    def __init__(self) -> None:
        self._waiting: list[WaitingRow] = []
        self._arrivals = count()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, ticket: ScoreTicket) -> None:
        """All rows of a request."""
        for number in range(len(ticket.rows)):
            waiting = WaitingRow(ticket=ticket, number=number, arrival=next(self._arrivals))
            insort(self._waiting, waiting, key=_ids)

    def take(self, max_tokens: int) -> list[WaitingRow]:
        """The next pass; rows that nobody waits for any more are dropped."""
        self._waiting = [each for each in self._waiting if not each.ticket.is_settled]
        if not self._waiting:
            return []
        oldest = min(range(len(self._waiting)), key=lambda i: self._waiting[i].arrival)
        run = take_neighbours([each.ids for each in self._waiting], oldest, max_tokens)
        taken = self._waiting[run.start : run.stop]
        del self._waiting[run.start : run.stop]
        return taken

    def take_all(self) -> list[WaitingRow]:
        """Everything, when the engine ends."""
        taken, self._waiting = self._waiting, []
        return taken


def _ids(waiting: WaitingRow) -> list[int]:
    return waiting.ids
