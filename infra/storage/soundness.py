"""Are the live parts what was written? The one look that runs, readers and `corpus check` take.

Invariant: nothing is changed. A part is read in full unless this machine knows its file already
(infra/storage/checked.py) or the object store tells the tag it was uploaded with.

    look(store, manifest) -> [Looked(table="rationales", part=Part(...), fault="is gone"), ...]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from infra.storage.checked import Checked
from infra.storage.manifest import Manifest, Part
from infra.storage.parquet_parts import part_fault
from infra.storage.store import FileState, Store

THREADS = 16  # parts looked at at once: an object store answers each after a while

Advance = Callable[[int, int], None]  # bytes looked at, of all


@dataclass(frozen=True, kw_only=True)
class Looked:
    """A live part and what is wrong with it, None: nothing."""

    table: str
    part: Part
    fault: str | None
    is_there: bool

    @property
    def file(self) -> str:
        return f"{self.table}/{self.part.name}"


def look(
    store: Store,
    manifest: Manifest,
    *,
    states: Mapping[str, FileState] | None = None,
    in_full: bool = False,
    deep: bool = False,
    advance: Advance | None = None,
) -> list[Looked]:
    """All live parts, in the manifest's order.

    `in_full`: also those that are known. `deep`: of parts of earlier versions, which have no
    checksum, every page; else their footer. Raises CorpusError where the store does not answer.
    """
    states = store.states(manifest.files) if states is None else states
    checked = Checked(store)

    def one(table: str, part: Part) -> Looked:
        name = f"{table}/{part.name}"
        state = states.get(name)
        fault = None
        if in_full or state is None or not checked.knows(name, part, state):
            fault = part_fault(store, name, part, state, deep=deep)
            if fault is None and state is not None:
                checked.note(name, part, state)
        return Looked(table=table, part=part, fault=fault, is_there=state is not None)

    live = [(table, part) for table, parts in manifest.parts.items() for part in parts]
    seen = list(_told(live, one, advance))
    checked.save(manifest.files)
    return seen


def _told(
    live: list[tuple[str, Part]], one: Callable[[str, Part], Looked], advance: Advance | None
) -> Iterator[Looked]:
    total, done = sum(part.bytes for _, part in live), 0
    with ThreadPoolExecutor(THREADS) as pool:
        for looked in pool.map(lambda item: one(*item), live):
            done += looked.part.bytes
            if advance:
                advance(done, total)
            yield looked
