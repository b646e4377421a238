"""Ids as numbers, in arrays, so that sets of millions of rows can be compared.

Invariant: a number is the one the journal knows the row by (infra/storage/rows.py).

    is_outside(gone)(["9f0c2d1e5b7a4c3d"]) -> [True]
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from infra.storage.manifest import Part
from infra.storage.parquet_parts import stored_ids
from infra.storage.rows import id_number
from infra.storage.store import Store
from tasks.schemas import TABLES

Ids = Any  # numpy.ndarray of int64


def numbers(ids: Collection[str]) -> Ids:
    """Of these rows, in their order."""
    import numpy as np

    return np.fromiter(map(id_number, ids), dtype=np.int64, count=len(ids))


def part_ids(store: Store, table: str, part: Part) -> Ids:
    """Of all rows of a part, in their order."""
    import numpy as np

    return np.fromiter(stored_ids(store.open(f"{table}/{part.name}"), TABLES[table]), np.int64)


def is_outside(some: Ids) -> Callable[[list[str]], Sequence[bool]]:
    """Which of the ids it is given are not among these: what `filtered_part` is to keep."""
    import numpy as np

    def outside(ids: list[str]) -> Sequence[bool]:
        kept: list[bool] = (~np.isin(numbers(ids), some)).tolist()
        return kept

    return outside
