"""The weights of the models a corpus has trained: where they are, and whether they are there.

Invariant: a `models` row is written after its weights are kept, so a row means weights.
"""

from __future__ import annotations

from pathlib import Path

from infra.storage.store import Store
from sql.database import Database

WEIGHTS = "weights"  # folder of the corpus


def trained_weights(
    database: Database, store: Store, *, data_fingerprint: str | None = None
) -> Path | None:
    """Folder of the weights the selected run trained (on these examples), if they are there."""
    rows = database.run_file("runs", "trained_models").rows
    paths = [path for path, data in rows if data_fingerprint in (None, data)]
    return next((store.folder / path for path in paths if store.fetch(path)), None)
