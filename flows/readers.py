"""Opens a corpus for the commands that only read."""

from __future__ import annotations

import sys

from infra.storage.corpus import Corpus
from sql.database import Database, connect


def open_corpus(location: str, *, run_id: str | None = None, or_empty: bool = False) -> Database:
    """The corpus with all views; `or_empty`: empty relations where there is none.

    Raises CorpusError.
    """
    corpus = Corpus(location)
    if or_empty and not corpus.store.entries():
        print(f"litecot: no corpus at {location}, all relations are empty", file=sys.stderr)
        return connect({})
    return connect(corpus.parts(), through=corpus.store.files, run_id=run_id)
