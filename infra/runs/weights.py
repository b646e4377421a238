"""The weights of the models a corpus has trained: where they are, and whether they are there.

Invariant: a `models` row is written after its weights are kept, so a row means weights.
"""

from __future__ import annotations

from pathlib import Path

from infra.storage.names import checked_name
from infra.storage.store import Store
from sql.database import Database

WEIGHTS = "weights"  # folder of the corpus
UNFINISHED = ".training"  # in it: checkpoints of trainings that have not come to their end


def trained_weights(
    database: Database, store: Store, *, data_fingerprint: str | None = None
) -> Path | None:
    """Folder of the weights the selected run trained (on these examples), if they are there.

    Raises UnsafeNameError where a row names another place than a folder of the corpus' weights.
    """
    rows = database.run_file("runs", "trained_models").rows
    paths = [path for path, data in rows if data_fingerprint in (None, data)]
    return next(filter(None, (kept_weights(store, path) for path in paths)), None)


def kept_weights(store: Store, path: str) -> Path | None:
    """The folder of the weights that a row of models names, fetched; None: they are not there.

    Raises UnsafeNameError where it names another place than a folder of the corpus' weights.
    """
    checked_name(path, of=f"{store}, a row of raw_models", below=WEIGHTS)
    return store.folder / path if store.fetch(path) else None
