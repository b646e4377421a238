"""The answers in docs/sql.md: what each question answers on the demo's corpus, its first rows.

Invariant: what stands below a question is what the corpus answered; `make answers CORPUS=corpus`
writes it after `make demo`, a test compares the columns with those of today's query.

    `litecot ask kinds_kept`: one row per kind of rationale.
    | kind | num_scored | ... |
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from flows.cli.spelling import cell
from sql.database import Database, Result
from sql.questions import question_text, questions

PAGE = Path(__file__).parents[3] / "docs" / "sql.md"
NUM_ROWS, MAX_CHARS = 13, 60
SETTINGS = "settings"  # JSON, and all one in the demo
NONE = "No rows: nothing of the kind happened in the demo."
_SECTION = r"(`litecot ask {name}`: [^\n]*\n\n).*?(?=\n#|\Z)"


def answered(page: str, database: Database) -> str:
    """`page` with its answers made anew."""
    ids = {row[0] for row in database.run_file("runs", "students", variables={"prefix": ""}).rows}
    for name in questions():
        table = markdown(database.run(question_text(name)), students=ids)
        section = re.compile(_SECTION.format(name=name), re.S)
        page = section.sub(lambda found, told=table: f"{found[1]}{told}\n", page)  # type: ignore[misc]
    return page


def markdown(result: Result, *, students: set[str]) -> str:
    """The first rows as a table of Markdown; a student's id says less than its role."""
    if not result.rows:
        return NONE
    kept = [i for i, name in enumerate(result.columns) if name != SETTINGS]
    marks = ["---:" if _is_number(result.types[i]) else "---" for i in kept]
    lines = [" | ".join(result.columns[i] for i in kept), "|".join(marks)]
    lines = [f"| {lines[0]} |", f"|{lines[1]}|"]
    for row in result.rows[:NUM_ROWS]:
        lines.append(f"| {' | '.join(_shown(row[i], students) for i in kept)} |")
    more = len(result.rows) - NUM_ROWS
    return "\n".join([*lines, f"\nand {more} more."] if more > 0 else lines)


def _is_number(kind: str) -> bool:
    return any(word in kind for word in ("INT", "DOUBLE", "DECIMAL", "FLOAT"))


def _shown(value: object, students: set[str]) -> str:
    if value in students:
        return "trained student"
    text = " ".join(cell(value).split()).replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 3] + "..."


if __name__ == "__main__":
    from flows.cli.readers import open_corpus

    with open_corpus(sys.argv[1]) as corpus:
        PAGE.write_text(answered(PAGE.read_text(encoding="utf-8"), corpus), encoding="utf-8")
