"""Opens a corpus for the commands that only read."""

from __future__ import annotations

from flows.progress.slow import shown_if_slow
from infra.storage.corpus import Corpus
from infra.storage.errors import CorpusError
from sql.database import Database, connect


def rot_in(location: str) -> str | None:
    """What is wrong with the corpus' files, and the remedy; None where no file is to blame."""
    try:
        found = Corpus(location).faults()
    except CorpusError:  # none there, or its store does not answer: what failed says more
        return None
    if not found:
        return None
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{found[0]}{more}"


def open_corpus(location: str, *, run_id: str | None = None) -> Database:
    """The corpus with all views. Raises CorpusError: none there, or a part that has rotted."""
    corpus = Corpus(location)
    with shown_if_slow("reading the parts, once") as advance:
        parts = corpus.sound_parts(advance)
    return connect(parts, through=corpus.store.files, run_id=run_id)
