"""Which parts this machine has read in full and found sound, so that it need not do so again.

Role: makes checking cost once a file and change. Invariants: kept outside the corpus, which may be
read-only; a part is known only while its file's tag (infra/storage/store.py) is the one it was
found sound with; losing or damaging what is kept here costs reading, nothing else.

    <LITECOT_CACHE>/checked/5b1f0c3d9a7e4410.json
        {"problems/part-....parquet": "9c0e12f4... 1048-1767323045123456789-1767323045123456789"}
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from infra.settings import load_settings
from infra.storage.checksums import checksum_of
from infra.storage.manifest import Part
from infra.storage.store import FileState, Store


class Checked:
    """Of one corpus; `save` keeps what was noted."""

    def __init__(self, store: Store) -> None:
        # The folder is the corpus, or where this machine keeps the journal of a bucket's corpus.
        name = checksum_of(os.fsencode(store.folder.resolve()))[:16]
        # Where nobody's home is known, a folder "~" that is not there: nothing is kept.
        cache = os.path.expanduser(load_settings().cache)
        self._path = Path(cache, "checked", f"{name}.json")
        self._is_kept = not cache.startswith("~")
        self._known = self._load()
        self._is_changed = False

    def knows(self, name: str, part: Part, state: FileState) -> bool:
        """Whether the file is the one that was found sound, or uploaded, and nothing else."""
        if not state.tag or not part.checksum:
            return False
        return state.tag == part.etag or self._known.get(name) == f"{part.checksum} {state.tag}"

    def note(self, name: str, part: Part, state: FileState) -> None:
        """It was read in full, after its `state` was seen, and is sound."""
        if state.tag and part.checksum and not self.knows(name, part, state):
            self._known[name] = f"{part.checksum} {state.tag}"
            self._is_changed = True

    def save(self, live: Collection[str]) -> None:
        """Keep what is known of the files `live`, where this user may."""
        if not self._is_changed or not self._is_kept:
            return
        kept = {name: said for name, said in self._known.items() if name in live}
        growing = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            growing.write_text(json.dumps(kept, indent=1))
            os.replace(growing, self._path)
        self._is_changed = False

    def _load(self) -> dict[str, str]:
        try:
            read = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return read if isinstance(read, dict) else {}
