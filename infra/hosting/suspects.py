"""Which request killed the engine: found in three deaths, and no innocent is ever blamed.

Role: pure bookkeeping over requests, told apart by content. Those in flight at an unexplained death
are suspects. They are sent again in cells that share an engine with nobody else: about sqrt(n) of
them together at first; those in flight at a second death alone. The one that kills while alone is
poison.
Invariants: poison was seen at two deaths and then killed alone; an innocent sent alone is answered,
and with that cleared; a cell is sent while no other is.

A sample: after accuse({a, b, c, d}) the cells are {a, b} and {c, d}; after accuse({c, d}) they are
{a, b}, {c}, {d}; after accuse({d}) is_poison(d).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable

ALONE = 2  # deaths after which a request is sent alone


class Suspects:
    """Requests under suspicion. A key is a request's content."""

    def __init__(self) -> None:
        self._cells: dict[Hashable, Hashable] = {}  # suspect -> who it is sent with
        self._deaths: dict[Hashable, int] = {}
        self._poison: set[Hashable] = set()
        self._num_accusations = 0

    def accuse(self, keys: Collection[Hashable]) -> None:
        """`keys` were in flight when an engine died and nothing else explains it."""
        found = list(dict.fromkeys(keys))
        size = math.ceil(math.sqrt(len(found)))
        self._num_accusations += 1
        for position, key in enumerate(found):
            deaths = self._deaths.get(key, 0)
            if deaths >= ALONE and len(found) == 1:
                self._convict(key)
                continue
            self._deaths[key] = min(deaths + 1, ALONE)
            self._cells[key] = (
                ("alone", key) if deaths else (self._num_accusations, position // size)
            )

    def clear(self, key: Hashable) -> None:
        """The engine outlived `key`."""
        self._deaths.pop(key, None)
        self._cells.pop(key, None)

    def cell(self, key: Hashable) -> Hashable | None:
        """Suspects of one cell may be in flight together; None: `key` is not suspected."""
        return self._cells.get(key)

    def is_poison(self, key: Hashable) -> bool:
        """`key` must not be sent again."""
        return key in self._poison

    def _convict(self, key: Hashable) -> None:
        self.clear(key)
        self._poison.add(key)
