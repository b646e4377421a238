"""A student against its baseline as one verdict: what is said of it, and whether it may pass.

Invariant: only a loss that is sure, and larger than allowed, is a loss; what is not ruled out is
said and passes, as `litecot compare --fail-if-worse` has it.

A sample: judged(database, baseline="base", student="trained", allowed=0.02).losses == ()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flows.comparison.compared import compare_models
from flows.comparison.words import doubts, losses, sentences, table
from sql.database import Database

ABREAST = 3  # comparisons that fit beside one another on a page of Prefect's


@dataclass(frozen=True, kw_only=True)
class Judged:
    """`lines`: for a log; `page`: the same and the numbers, in Markdown; `losses`: what fails."""

    lines: tuple[str, ...]
    page: str
    losses: tuple[str, ...]


def judged(database: Database, *, baseline: str, student: str, allowed: float) -> Judged:
    """Models as `litecot compare` names them. Raises UnknownModelError, NothingInCommonError."""
    found = compare_models(database, [baseline, student])
    lines = (*sentences(found), *doubts(found, allowed))
    columns, rows = table(found)
    beside = [rows[n : n + ABREAST] for n in range(0, len(rows), ABREAST)]
    page = "\n\n".join([*map(_cell, lines), *(_upright(columns, some) for some in beside)])
    return Judged(lines=lines, page=page, losses=tuple(losses(found, allowed)))


def _upright(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A line a column: a page is cut at its right, never at its end."""
    lines = [
        "| " + " | ".join(map(_cell, line)) + " |" for line in zip(columns, *rows, strict=True)
    ]
    return "\n".join([lines[0], "|" + "---|" * (1 + len(rows)), *lines[1:]])


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
