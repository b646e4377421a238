"""Which replica gets which request.

Role: the pure decision; nothing here waits or sends. Requests are taken in the order they came.
One with an `affinity` (its problem) goes to the replica that a rendezvous hash prefers, whose cache
holds its prefix, unless that one has an eighth of its limit more in flight than the least busy;
any other goes to the least busy.
Invariants: never more than `limit` requests inside a replica; the oldest waiting request goes
first, so none starves; a suspect (infra.hosting.suspects) shares a replica with its cell only.

A sample: with replicas 0 (3 inside) and 1 (none), assign() -> [(request, 1)]
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass

from infra.hosting.loads import Loads
from infra.hosting.suspects import Suspects

SLACK_SHARE = 8  # a preferred replica may be busier by this part of the limit, and by 1 at least


@dataclass(eq=False, kw_only=True, slots=True)
class Request:
    """A request that waits or is in flight: `key` is its content, `since` when it came (s),
    `replica` where it is inside."""

    key: Hashable
    affinity: str = ""
    since: float = 0.0
    replica: int | None = None


class Dispatch:
    """The requests and replicas of one pool. Not thread-safe."""

    def __init__(self, limit: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.suspects = Suspects()
        self._limit = limit
        self._slack = max(1, limit // SLACK_SHARE)
        self._clock = clock
        self._inside: dict[int, dict[Request, None]] = {}  # in the order they came
        self._loads = Loads()
        self._idle_since: dict[int, float] = {}
        self._waiting: OrderedDict[Request, None] = OrderedDict()
        self._suspected: OrderedDict[Request, None] = OrderedDict()  # waiting too
        self._cell: Hashable | None = None  # in flight or next, on the reserved replica
        self._reserved: int | None = None

    @property
    def is_empty(self) -> bool:
        """Nothing waits and nothing is in flight."""
        return not (self._waiting or self._suspected or any(self._inside.values()))

    @property
    def waited_s(self) -> float:
        """Of the longest waiting request that is under no suspicion; 0 where none waits."""
        oldest = next(iter(self._waiting), None)
        return 0.0 if oldest is None else self._clock() - oldest.since

    def idle_s(self) -> dict[int, float]:
        """Replicas with nothing inside, and for how long."""
        now = self._clock()
        return {
            replica: now - self._idle_since[replica]
            for replica, inside in self._inside.items()
            if not inside and replica != self._reserved
        }

    def add(self, replica: int) -> None:
        """`replica` is ready."""
        self._inside[replica] = {}
        self._loads.add(replica)
        self._idle_since[replica] = self._clock()

    def remove(self, replica: int) -> list[Hashable]:
        """`replica` is gone; the content of what was in flight there."""
        inside = self._inside.pop(replica)
        self._loads.remove(replica)
        for request in inside:
            request.replica = None
        if replica == self._reserved:
            self._reserved = self._cell = None
        return [request.key for request in inside]

    def accuse(self, keys: Collection[Hashable]) -> list[Request]:
        """`keys` were in flight at an unexplained death. Waiting requests that are now poison."""
        self.suspects.accuse(keys)
        for request in [request for request in self._waiting if self.suspects.cell(request.key)]:
            del self._waiting[request]
            self._suspected[request] = None
        waiting = (self._waiting, self._suspected)
        poison = [t for queue in waiting for t in queue if self.suspects.is_poison(t.key)]
        for request in poison:
            self.leave(request)
        return poison

    def submit(self, request: Request) -> None:
        """A request comes."""
        request.since = self._clock()
        queue = self._waiting if self.suspects.cell(request.key) is None else self._suspected
        queue[request] = None

    def leave(self, request: Request, *, is_cleared: bool = False) -> None:
        """A request goes, from wherever it is. `is_cleared`: the engine gave it an answer."""
        if is_cleared:
            self.suspects.clear(request.key)
        self._waiting.pop(request, None)
        self._suspected.pop(request, None)
        if (replica := request.replica) is not None:
            request.replica = None
            del self._inside[replica][request]
            self._loads.change(replica, -1)
            self._idle_since[replica] = self._clock()

    def assign(self) -> list[tuple[Request, int]]:
        """Who may go now, and where."""
        sent = self._assign_suspects()
        while self._waiting:
            replica = self._choice(next(iter(self._waiting)).affinity)
            if replica is None:
                break
            request, _ = self._waiting.popitem(last=False)
            self._enter(request, replica)
            sent.append((request, replica))
        return sent

    def _enter(self, request: Request, replica: int) -> None:
        request.replica = replica
        self._inside[replica][request] = None
        self._loads.change(replica, 1)

    def _choice(self, affinity: str) -> int | None:
        least = self._loads.least(without=self._reserved)
        if least is None or self._loads[least] >= self._limit:
            return None
        if affinity:
            favourite = self._loads.preferred(affinity, without=self._reserved)
            most = min(self._limit - 1, self._loads[least] + self._slack)
            if favourite is not None and self._loads[favourite] <= most:
                return favourite
        return least

    def _assign_suspects(self) -> list[tuple[Request, int]]:
        self._release_cleared()
        self._reserve()
        if self._reserved is None:
            return []
        inside = self._inside[self._reserved]
        if self._cell is None:
            if inside:  # others are still at work there
                return []
            self._cell = self.suspects.cell(next(iter(self._suspected)).key)
        cell = [t for t in self._suspected if self.suspects.cell(t.key) == self._cell]
        sent = cell[: self._limit - len(inside)]
        for request in sent:
            del self._suspected[request]
            self._enter(request, self._reserved)
        return [(request, self._reserved) for request in sent]

    def _release_cleared(self) -> None:
        """An equal request was answered meanwhile."""
        for request in [t for t in self._suspected if self.suspects.cell(t.key) is None]:
            del self._suspected[request]
            self._waiting[request] = None

    def _reserve(self) -> None:
        """One replica for suspects as long as there are any: the least busy, which is let run
        empty; an idle one that turns up meanwhile is taken instead."""
        if self._cell is not None and self._reserved is not None:
            if self._inside[self._reserved]:
                return
            self._cell = None  # this cell is through
        self._reserved = None
        if self._suspected:
            self._reserved = self._loads.least()
