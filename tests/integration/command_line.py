"""`litecot` in a process of its own, and what a corpus holds afterwards."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.storage import Corpus
from sql.database import connect


def litecot(
    *arguments: str, timeout: float = 600, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command line; `env` None: as here."""
    command = [sys.executable, "-m", "flows.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=env)


def query(corpus: Path, text: str) -> list[dict[str, Any]]:
    """Rows of a query, as `litecot sql` would print them."""
    with connect(Corpus(corpus).parts()) as database:
        return database.run(text).records()
