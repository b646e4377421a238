"""Reading a corpus: no lock, no journal, the parts of one manifest.

Invariant: `parts()` are the files of one moment, all there; a part that a compaction replaces stays
for some minutes, so what was just listed can be read to its end. A small part is listed by its
second name, `_parts/`: the other it loses when it is replaced (infra/storage/local.py).

    Corpus(path).parts() == {"problems": ["corpus/_parts/problems/part-...parquet"], ...}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from infra.storage.errors import CorpusError
from infra.storage.journal import journal_fault
from infra.storage.lock import Standing, standing
from infra.storage.manifest import Manifest, load_manifest, unfinished_copy
from infra.storage.opening import open_store
from infra.storage.parquet_parts import remedy
from infra.storage.soundness import Advance, Looked, look
from infra.storage.store import COPYING, JOURNAL, LOCK, FileState, Store
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

    def standing(self) -> Standing:
        """Who writes it on this machine, and what its runs told of themselves."""
        return standing(self.store.folder / LOCK)

    def parts(self) -> dict[str, list[str]]:
        """Table -> files, every table. Raises CorpusError where no corpus or a file is gone."""
        return part_files(self.store, self._live()[0])

    def sound_parts(self, advance: Advance | None = None) -> dict[str, list[str]]:
        """The same, once every part is known to be what was written: each is read in full once.

        Raises CorpusError naming what is not.
        """
        manifest, states = self._live()
        seen = look(self.store, manifest, states=states, advance=advance)
        found = [self._line(one) for one in seen if one.fault]
        if found:
            raise CorpusError(f"{found[0]}{_more(found)}")
        return part_files(self.store, manifest)

    def listed(self) -> dict[str, list[str]]:
        """Table -> files by the manifest, whether or not they are there."""
        return part_files(self.store, self._manifest())

    def bytes_by_table(self) -> dict[str, int]:
        """Of the live parts."""
        parts = self._manifest().parts
        return {table: sum(part.bytes for part in live) for table, live in parts.items()}

    def manifest(self) -> Manifest:
        """What is live. Raises ManifestError where it cannot be believed."""
        return self._manifest()

    def looked_through(self, advance: Advance | None = None) -> list[Looked]:
        """All parts and what is wrong with them: every byte of every part is read."""
        return look(self.store, self._manifest(), in_full=True, deep=True, advance=advance)

    def faults(self) -> list[str]:
        """One line for every part that is not what was written, by `looked_through`."""
        return [self._line(one) for one in self.looked_through() if one.fault]

    def journal_fault(self) -> str | None:
        """One line where the journal on this machine, if there is one, is damaged."""
        path = self.store.folder / JOURNAL / "journal.sqlite"
        fault = journal_fault(path)
        if fault is None:
            return None
        return (
            f"{path}: {fault}; run the recipe again: it makes again what is damaged of the last "
            "seconds' records and keeps the parts"
        )

    def _line(self, one: Looked) -> str:
        return f"{self.store.where(one.file)}: {one.fault}; {remedy(one.part)}"

    def _live(self) -> tuple[Manifest, Mapping[str, FileState]]:
        """A manifest whose files are all there, and their states."""
        for _ in range(ATTEMPTS):
            manifest = self._manifest()
            states = self.store.states(manifest.files)
            missing = [name for name in manifest.files if name not in states]
            if not missing:
                return manifest, states
        raise CorpusError(
            f"{self.store.where(missing[0])}: is gone; `litecot run` with the same recipe makes "
            "its rows again"
        )

    def _manifest(self) -> Manifest:
        with self.store.explained():
            manifest = load_manifest(self.store)
            if manifest is None and COPYING in self.store.entries():
                raise CorpusError(unfinished_copy(self.store))
        if manifest is None:
            raise CorpusError(
                f"{self.store}: no corpus here; pass --corpus, or make one with `litecot run`"
            )
        return manifest


def _more(lines: list[str]) -> str:
    return f" (and {len(lines) - 1} more: `litecot corpus check`)" if len(lines) > 1 else ""


def part_files(store: Store, manifest: Manifest) -> dict[str, list[str]]:
    """Table -> its live files, every table of the schema."""
    return {
        table: [store.readable(f"{table}/{part.name}") for part in manifest.parts.get(table, ())]
        for table in TABLES
    }
