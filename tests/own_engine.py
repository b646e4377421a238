"""The engine of docs/engines.md, as a plug-in file: what a reader would write."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks import plugins
from tasks.registry import REGISTRIES

DOCUMENT = Path(__file__).parents[1] / "docs" / "engines.md"


def own_engine() -> str:
    """Its source."""
    (code,) = re.findall(
        r"^```python solver.py\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S
    )
    return str(code)


@contextmanager
def loaded(path: Path, source: str) -> Iterator[list[str]]:
    """What the file at `path` declares; forgotten afterwards."""
    path.write_text(source, encoding="utf-8")
    try:
        yield plugins.load_plugins([str(path)])
    finally:
        plugins._loaded.pop(path.resolve(), None)
        for registry in REGISTRIES:
            registry.remove(str(path))
