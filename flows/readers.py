"""Opens a corpus for the commands that only read."""

from __future__ import annotations

from infra.storage.corpus import Corpus
from sql.database import Database, connect


def open_corpus(location: str, *, run_id: str | None = None) -> Database:
    """The corpus with all views. Raises CorpusError where there is none."""
    corpus = Corpus(location)
    return connect(corpus.parts(), through=corpus.store.files, run_id=run_id)
