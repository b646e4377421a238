"""Some problems with every version of their rationale, side by side.

Invariant: which are shown is for sql/report/examples_side_by_side.sql to say (those shortened about
as much as the median of their level); what models and sources wrote is text.

A sample: examples(database)[0].versions[0].kind == "long"
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from flows.page.figures import count, share, shortened, words
from flows.page.side_by_side import MOST_CHARACTERS, formatted, marked

if TYPE_CHECKING:
    from sql.database import Database

MOST_EXAMPLES = 2  # of a level
MOST_ANSWER = 200  # characters


@dataclass(frozen=True, kw_only=True)
class Version:
    """`note`: tokens, who wrote it, how much the next version cut; `more`: what is not shown."""

    kind: str
    note: str
    html: Markup
    more: str


@dataclass(frozen=True, kw_only=True)
class Example:
    problem_id: str
    level: str
    question: Markup
    answer: Markup
    versions: Sequence[Version]
    left: str  # the last version's length, of the first's


def examples(database: Database) -> list[Example]:
    """Those of the selected run, by level."""
    found = database.run_file(
        "report", "examples_side_by_side",
        variables={"most_examples": MOST_EXAMPLES, "most_characters": MOST_CHARACTERS},
    )  # fmt: skip
    grouped = groupby(found.records(), key=lambda row: row["problem_id"])
    return [_example(list(rows)) for _, rows in grouped]


def _example(rows: Sequence[dict[str, Any]]) -> Example:
    first = rows[0]
    texts = marked([row["text"] or "" for row in rows])
    versions = []
    for row, text in zip(rows, texts, strict=True):
        note = [f"{count(row['num_tokens'])} tokens", f"by {shortened(words(row['model']), 40)}"]
        if text.share_cut is not None:
            note.append(f"{share(text.share_cut)} of the words cut next")
        versions.append(Version(
            kind=words(row["kind"]), note=" · ".join(note), html=text.html,
            more=_more(row["num_characters"] or 0),
        ))  # fmt: skip
    return Example(
        problem_id=words(first["problem_id"]), level=words(first["level"]), versions=versions,
        question=formatted(first["question"] or ""),
        answer=formatted(shortened(first["answer"] or "", MOST_ANSWER)),
        left="" if len(rows) == 1 else share(first["share_left"]),
    )  # fmt: skip


def _more(num_characters: int) -> str:
    left = num_characters - MOST_CHARACTERS
    return f"… and {count(left)} more characters" if left > 0 else ""
