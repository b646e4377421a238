"""Reading a corpus: no lock, no journal, the parts of one manifest.

Invariant: `parts()` are the files of one moment, all there; a part that a compaction replaces stays
on disk for some minutes, so what was just listed can be read to its end.

    Corpus(path).parts() == {"problems": ["corpus/problems/part-...parquet"], "rationales": [], ...}
"""

from __future__ import annotations

from pathlib import Path

from infra.storage.errors import CorpusError, explained
from infra.storage.manifest import Manifest, load_manifest
from infra.storage.parts import part_fault
from tasks.schemas import TABLES

ATTEMPTS = 5  # a compaction would have to finish between each of them


class Corpus:
    """A corpus folder, for reading. What is still in a running writer's journal is not seen."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @property
    def exists(self) -> bool:
        return load_manifest(self.path) is not None

    def parts(self) -> dict[str, list[str]]:
        """Table -> files, every table. Raises CorpusError where no corpus or a file is gone."""
        for _ in range(ATTEMPTS):
            files = part_files(self.path, self._manifest())
            missing = [file for some in files.values() for file in some if not Path(file).exists()]
            if not missing:
                return files
        raise CorpusError(
            f"{missing[0]}: is gone; `litecot run` with the same recipe makes its rows again"
        )

    def faults(self, *, deep: bool = True) -> list[str]:
        """One line for every part that cannot be read; `deep` reads every byte."""
        found = []
        for table, live in self._manifest().parts.items():
            for part in live:
                path = self.path / table / part.name
                fault = part_fault(path, part, deep=deep)
                found += [f"{path}: {fault}"] if fault else []
        return found

    def _manifest(self) -> Manifest:
        with explained(self.path):
            manifest = load_manifest(self.path)
        if manifest is None:
            raise CorpusError(
                f"{self.path}: no corpus here; pass --corpus, or make one with `litecot run`"
            )
        return manifest


def part_files(corpus: Path, manifest: Manifest) -> dict[str, list[str]]:
    """Table -> its live files, every table of the schema."""
    return {
        table: [str(corpus / table / part.name) for part in manifest.parts.get(table, ())]
        for table in TABLES
    }
