"""The examples of docs/extending.md and docs/engines.md, as files a reader would have."""

from __future__ import annotations

import json
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
NAMED = re.compile(r"^```\w+ (\S+)\n(.*?)^```", re.M | re.S)
PLUGINS = {
    "solver.py": "engine solver",
    "dial.py": "answer type dial",
    "retell.py": "stage retell",
    "to_share.py": "compression method to_share",
    "expected.py": "scorer expected",
}


def examples() -> dict[str, str]:
    """File name -> text, of every block that has a name."""
    texts = [(DOCS / name).read_text(encoding="utf-8") for name in ("extending.md", "engines.md")]
    found = [block for text in texts for block in NAMED.findall(text)]
    assert len(dict(found)) == len(found), "two blocks of one name"
    return dict(found)


def write_examples(folder: Path) -> Path:
    """All of them; the recipe."""
    for name, text in examples().items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "own.toml"


def dial_problems(number: int) -> str:
    """Problems whose gold answers are marks of the answer type `dial` and of no other: 13 for 3."""
    rows = []
    for start in range(number):
        question = f"The hand of a dial is at {start}.\n1) right 3\n2) left 1\nWhere does it end?"
        rows.append(json.dumps({"question": question, "answer": str(10 + (start + 2) % 10)}))
    return "\n".join(rows) + "\n"
