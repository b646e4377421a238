"""What a row of the corpus is: its id, the columns that every row has, how a column is described.

Invariant: a row's id is a hash of what determines the row (its `identity` columns and the
fingerprint of the stage that made it), so making the same row twice gives the same id. The tables
are tasks/schemas.py, which says all of this again to those who ask it.

A sample: Problem(question="3 + 4?", ...).content_id() == "41aa0c55d1e2f3a4"
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, dataclass, field
from typing import Any, ClassVar

ID_LENGTH = 16  # hex characters, 64 bits: 1e-5 chance of one collision among 2e7 rows


def content_id(*parts: object) -> str:
    """Hash of `parts` (JSON-serialisable), 16 hex characters; equal parts give equal ids."""
    text = json.dumps(parts, ensure_ascii=True, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def column(description: str, *, default: Any = MISSING) -> Any:
    """A dataclass field that carries its column description into the Parquet schema."""
    if default is MISSING:
        return field(metadata={"description": description})
    return field(default=default, metadata={"description": description})


@dataclass(frozen=True, kw_only=True)
class Row:
    """Base of all tables. `table` is its name, `key` its id column, `identity` what the id hashes.

    `of_stage` False: the row is the same whichever stage met it (a problem, a membership).
    `is_made_again` False: it tells what once happened; a part of such rows that is lost stays lost.
    """

    table: ClassVar[str] = ""
    key: ClassVar[str] = ""
    identity: ClassVar[tuple[str, ...]] = ()
    of_stage: ClassVar[bool] = True
    is_made_again: ClassVar[bool] = True

    def content_id(self, stage_fingerprint: str = "") -> str:
        """The row's id within the stage `stage_fingerprint`."""
        return self.id_of(
            stage_fingerprint, **{name: getattr(self, name) for name in self.identity}
        )

    @classmethod
    def id_of(cls, stage_fingerprint: str = "", **identity: object) -> str:
        """The id of the row with these `identity` columns, before there is one."""
        values = [identity[name] for name in cls.identity]
        return content_id(cls.table, stage_fingerprint if cls.of_stage else "", *values)


# The stamp: what the writer adds to every row, after the id.
STAMP: dict[str, tuple[type, str]] = {
    "run_id": (str, "run whose recipe and inputs first made this row"),
    "stage_fingerprint": (str, "hash of prompts, models, sampling and settings of the stage"),
    "input_id": (str, "id of the record the stage read; resume is an anti-join on it"),
    "created_at": (str, "UTC time of writing, ISO 8601 with microseconds"),
}
