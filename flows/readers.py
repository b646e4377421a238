"""Opens a corpus for the commands that only read."""

from __future__ import annotations

import sys
from pathlib import Path

from infra.storage.corpus import Corpus
from sql.database import Database, connect


def open_corpus(path: Path, *, run_id: str | None = None, or_empty: bool = False) -> Database:
    """The corpus with all views; `or_empty`: empty relations where there is none.

    Raises CorpusError.
    """
    corpus = Corpus(path)
    if or_empty and not path.exists():
        print(f"litecot: no corpus at {path}, all relations are empty", file=sys.stderr)
        return connect({})
    return connect(corpus.parts(), run_id=run_id)
