"""Reading a corpus: no lock, no journal, the parts of one manifest.

Invariant: `parts()` are the files of one moment, all there; a part that a compaction replaces stays
for some minutes, so what was just listed can be read to its end.

    Corpus(path).parts() == {"problems": ["corpus/problems/part-...parquet"], "rationales": [], ...}
"""

from __future__ import annotations

from pathlib import Path

from infra.storage.errors import CorpusError
from infra.storage.manifest import Manifest, load_manifest
from infra.storage.opening import open_store
from infra.storage.parquet_parts import part_fault
from infra.storage.store import Store
from tasks.schemas import TABLES

ATTEMPTS = 5  # a compaction would have to finish between each of them


class Corpus:
    """A corpus, for reading: a folder or an s3:// URL. A running writer's journal is not seen.

    `store` keeps its files; DuckDB reads `parts` with `store.files`. Raises CorpusError.
    """

    def __init__(self, location: Path | str | Store) -> None:
        self.store = open_store(location)

    @property
    def exists(self) -> bool:
        with self.store.explained():
            return load_manifest(self.store) is not None

    def parts(self) -> dict[str, list[str]]:
        """Table -> files, every table. Raises CorpusError where no corpus or a file is gone."""
        for _ in range(ATTEMPTS):
            manifest = self._manifest()
            sizes = self.store.sizes(manifest.files)
            missing = [name for name in manifest.files if name not in sizes]
            if not missing:
                return part_files(self.store, manifest)
        raise CorpusError(
            f"{self.store.where(missing[0])}: is gone; `litecot run` with the same recipe makes "
            "its rows again"
        )

    def faults(self, *, deep: bool = True) -> list[str]:
        """One line for every part that cannot be read; `deep` reads every byte."""
        manifest = self._manifest()
        sizes = self.store.sizes(manifest.files)
        found = []
        for table, live in manifest.parts.items():
            for part in live:
                name = f"{table}/{part.name}"
                fault = part_fault(self.store, name, part, size=sizes.get(name), deep=deep)
                found += [f"{self.store.where(name)}: {fault}"] if fault else []
        return found

    def _manifest(self) -> Manifest:
        with self.store.explained():
            manifest = load_manifest(self.store)
        if manifest is None:
            raise CorpusError(
                f"{self.store}: no corpus here; pass --corpus, or make one with `litecot run`"
            )
        return manifest


def part_files(store: Store, manifest: Manifest) -> dict[str, list[str]]:
    """Table -> its live files, every table of the schema."""
    return {
        table: [store.where(f"{table}/{part.name}") for part in manifest.parts.get(table, ())]
        for table in TABLES
    }
