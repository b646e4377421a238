"""docs/schema.md: every relation and column, made from what describes them.

Invariant: the page is `page()` and nothing else; `make docs` writes it, a test compares.

    python -m sql.documented
"""

from __future__ import annotations

from pathlib import Path

from sql.database import connect, relations
from sql.described import Column, columns_of, description, kind_of, rows_of

PAGE = Path(__file__).parents[1] / "docs" / "schema.md"
_HEAD = """\
# Every relation and column

Made by `make docs` from tasks/schemas.py, sql/descriptions.toml and the files of sql/staging and
sql/marts; `litecot describe NAME`
prints one of them. How they are asked is in [sql.md](sql.md).
"""
_KINDS = {
    "marts": "Marts: what is usually asked",
    "staging": "Staging: the rows of the selected run",
    "stored": "Stored tables: the rows of all runs and settings",
}


def page() -> str:
    """The whole of it."""
    with connect({}) as database:
        columns = columns_of(database)
    parts = [_HEAD]
    for kind, title in _KINDS.items():
        parts.append(f"## {title}\n")
        for relation in (name for name in relations() if kind_of(name) == kind):
            told = [Column(c, t, description(relation, c)) for c, t in columns[relation]]
            parts.append(_section(relation, told))
    return "\n".join(parts)


def _section(relation: str, columns: list[Column]) -> str:
    rows = [f"### {relation}\n", f"One row per {_escaped(rows_of(relation))}.\n"]
    rows += ["| column | type | what it is |", "|---|---|---|"]
    rows += [f"| `{c.name}` | {c.type.lower()} | {_escaped(c.description)} |" for c in columns]
    return "\n".join(rows) + "\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
