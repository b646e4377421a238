"""How busy each replica of a pool is, and which one an affinity prefers.

Role: what `Dispatch` looks up for every request. In arrays, since a pool may have a thousand
replicas: looking through them one by one took more time than all else that a request needs.
Invariants: pure; `least` is the lowest number among the least busy; when a replica goes, only its
own affinities move (rendezvous hashing: the replica whose hash, mixed with the affinity's, is
highest).

A sample: with replicas 0 (3 inside) and 1 (none), least() -> 1
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

BUSIEST = np.iinfo(np.int64).max


class Loads:
    """Replicas by number, each with so many requests inside. Not thread-safe."""

    def __init__(self, replicas: Iterable[int] = ()) -> None:
        self._replicas: list[int] = []  # ascending, and the arrays in their order
        self._hashes: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._inside: NDArray[np.int64] = np.empty(0, np.int64)
        for replica in replicas:
            self.add(replica)

    def add(self, replica: int) -> None:
        """With nothing inside."""
        place = bisect_left(self._replicas, replica)
        self._replicas.insert(place, replica)
        self._hashes = np.insert(self._hashes, place, _hash(str(replica)))
        self._inside = np.insert(self._inside, place, 0)

    def remove(self, replica: int) -> None:
        place = self._place(replica)
        del self._replicas[place]
        self._hashes = np.delete(self._hashes, place)
        self._inside = np.delete(self._inside, place)

    def __getitem__(self, replica: int) -> int:
        return int(self._inside[self._place(replica)])

    def change(self, replica: int, by: int) -> None:
        """Of what is inside."""
        self._inside[self._place(replica)] += by

    def least(self, *, without: int | None = None) -> int | None:
        """The least busy; None where there is none, or `without` is the only one."""
        if without is None:
            return self._replicas[int(self._inside.argmin())] if self._replicas else None
        place = self._place(without)
        inside, self._inside[place] = self._inside[place], BUSIEST
        found = int(self._inside.argmin())
        self._inside[place] = inside
        return None if found == place else self._replicas[found]

    def preferred(self, affinity: str, *, without: int | None = None) -> int | None:
        """By the affinity alone, however busy; None as `least`."""
        mixed = _mixed(self._hashes ^ _hash(affinity))
        if without is not None:
            mixed[self._place(without)] = 0
        found = self._replicas[int(mixed.argmax())] if self._replicas else None
        return None if found == without else found

    def _place(self, replica: int) -> int:
        return bisect_left(self._replicas, replica)


def _hash(word: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest()))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64's finalizer: every bit of a value decides about every bit of the result."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
