"""Rows of two corpora side by side: which are only in one, which differ under the same id.

Invariant: rows are compared by digests (sql/digests.py), 24 bytes a row, so corpora of any store
and size can be; of what differs some rows are named, column by column.

    compare(one, other, "scores").differing -> array([9f0c...], dtype=uint64)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sql.database import Database
from sql.digests import content_columns, digests, rows_by_id
from tasks.schemas import TABLES

MAX_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Digests:
    """Of one table, sorted by id: arrays of unsigned 64-bit integers."""

    ids: Any
    content: Any
    measured: Any


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Ids, sorted. `measured`: rows that say the same, and were made at another time or cost."""

    table: str
    only_here: Any
    only_there: Any
    differing: Any
    measured: Any
    num_equal: int


def digests_of(database: Database, table: str) -> Digests:
    import numpy as np

    with database.file_faults():
        found = database.cursor().execute(digests(table)).fetchnumpy()
    ids, first = np.unique(found["id"].astype(np.uint64), return_index=True)
    return Digests(ids=ids, content=found["content"][first], measured=found["measured"][first])


def compare(here: Database, there: Database, table: str) -> Compared:
    import numpy as np

    one, other = digests_of(here, table), digests_of(there, table)
    both, at, at_other = np.intersect1d(one.ids, other.ids, assume_unique=True, return_indices=True)
    differs = one.content[at] != other.content[at_other]
    told = ~differs & (one.measured[at] != other.measured[at_other])
    return Compared(
        table=table,
        only_here=np.setdiff1d(one.ids, other.ids, assume_unique=True),
        only_there=np.setdiff1d(other.ids, one.ids, assume_unique=True),
        differing=both[differs],
        measured=both[told],
        num_equal=int((~differs & ~told).sum()),
    )


def differences(here: Database, there: Database, compared: Compared) -> dict[str, list[str]]:
    """Of some rows that differ: id -> columns in which they do."""
    ids = [f"{number:016x}" for number in compared.differing[:MAX_NAMED].tolist()]
    variables = {"ids": json.dumps(ids)}
    key, query = TABLES[compared.table].key, rows_by_id(compared.table)
    one, other = (
        {row[key]: row for row in database.run(query, variables=variables).records()}
        for database in (here, there)
    )
    return {
        row_id: [
            name for name in content_columns(compared.table)
            if one[row_id][name] != other[row_id][name]
        ]
        for row_id in ids
    }  # fmt: skip
