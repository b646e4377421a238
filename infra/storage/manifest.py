"""The truth of a corpus: which parts are live, and up to which record the journal is folded in.

Invariant: `_manifest.json` is replaced in one step (infra/storage/store.py), so a reader or a crash
sees the old one or the new one; a part it does not name does not exist.

    {"version": 1, "generation": 7, "journal": "5f0c...", "folded": 128, "retired": [],
     "parts": {"rationales": [{"name": "part-000000000128-9c0e12-3fa2c1.parquet", ...}]}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from infra.storage.errors import CorpusError
from infra.storage.names import checked_part
from infra.storage.store import MANIFEST, Store

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Part:
    """One Parquet file of a table. `bytes` is its size when written: a torn file differs."""

    name: str
    rows: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Retired:
    """A part a compaction replaced; kept a while for readers that still hold the old manifest."""

    table: str
    name: str
    at: float  # Unix time by Store.now, seconds

    @property
    def file(self) -> str:
        return f"{self.table}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """`journal` names the journal that `folded` counts in: another one starts from 0.

    `generation` counts how often the corpus was opened for writing. It makes the manifest differ
    from the one before, so that a conditional write of a writer taken for dead is refused.
    """

    journal: str
    generation: int = 0
    folded: int = 0
    parts: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)
    retired: tuple[Retired, ...] = ()

    @property
    def files(self) -> list[str]:
        """Names of the live parts, e.g. "problems/part-....parquet"."""
        return [f"{table}/{part.name}" for table, live in self.parts.items() for part in live]

    def with_parts(self, added: Mapping[str, Part], *, folded: int) -> Manifest:
        parts = dict(self.parts)
        for table, part in added.items():
            parts[table] = (*parts.get(table, ()), part)
        return replace(self, parts=parts, folded=folded)

    def with_merged(self, table: str, old: Sequence[Part], merged: Part, *, at: float) -> Manifest:
        """`merged` instead of `old`, which are neighbours."""
        live = list(self.parts[table])
        first = live.index(old[0])
        live[first : first + len(old)] = [merged]
        gone = tuple(Retired(table=table, name=part.name, at=at) for part in old)
        parts = {**self.parts, table: tuple(live)}
        return replace(self, parts=parts, retired=self.retired + gone)

    def without_retired(self, gone: Sequence[Retired]) -> Manifest:
        return replace(self, retired=tuple(one for one in self.retired if one not in gone))

    def without(self, table: str, part: Part) -> Manifest:
        live = tuple(kept for kept in self.parts[table] if kept != part)
        return replace(self, parts={**self.parts, table: live})


def load_manifest(store: Store) -> Manifest | None:
    """The corpus' manifest, None where there is none. Raises CorpusError if it is unreadable."""
    content = store.read(MANIFEST)
    if content is None:
        return None
    path = store.where(MANIFEST)
    try:
        read = json.loads(content)
    except ValueError as error:
        raise CorpusError(f"{path}: not JSON ({error}); restore it from a backup") from error
    if read.get("version") != VERSION:
        raise CorpusError(f"{path}: written by another version of litecot; upgrade litecot")
    manifest = _decode(read)
    for name in [*manifest.files, *(gone.file for gone in manifest.retired)]:
        checked_part(name, of=path)
    return manifest


def _decode(read: dict[str, object]) -> Manifest:
    tables: dict[str, list[dict[str, object]]] = read["parts"]  # type: ignore[assignment]
    gone: list[dict[str, object]] = read["retired"]  # type: ignore[assignment]
    return Manifest(
        journal=str(read["journal"]),
        generation=int(str(read.get("generation", 0))),
        folded=int(str(read["folded"])),
        parts={name: tuple(Part(**p) for p in live) for name, live in tables.items()},  # type: ignore[arg-type]
        retired=tuple(Retired(**r) for r in gone),  # type: ignore[arg-type]
    )


def save_manifest(store: Store, manifest: Manifest) -> None:
    """Durable when it returns."""
    body = json.dumps({"version": VERSION, **asdict(manifest)}, indent=1)
    store.replace(MANIFEST, body.encode())
