"""Every file of a corpus and what it is there for: the one place that knows.

Invariant: each file has one kind; what nobody lists is `unlisted` or `foreign`, never overlooked.

    take_stock(store, manifest, models={"weights/9c0e"}).of("weights")
        -> [File(name="weights/9c0e/config.json", size=612, kind="weights", unit="weights/9c0e")]
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from infra.runs.weights import UNFINISHED, WEIGHTS
from infra.storage.manifest import Manifest
from infra.storage.store import (
    COPYING,
    JOURNAL,
    LOCK,
    MANIFEST,
    PARTS,
    QUARANTINE,
    REPORT,
    SCRATCH,
    Store,
)
from tasks.schemas import TABLES

Kind = Literal[
    "parts",  # live
    "superseded",  # replaced, kept a while for who reads them; also a live one's second copy
    "weights",  # of students that have their row
    "unclaimed weights",  # of no row: a training that ended, and its run did not
    "checkpoints",  # of trainings that have not come to their end
    "logs",  # of trainings that failed
    "quarantine",  # set aside: damaged
    "journal",
    "unfinished",  # being written, or left by who was killed
    "unlisted",  # in a table's folder, and in no manifest
    "foreign",  # not ours
    "own",  # manifest, lock and report
]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True)
class File:
    """`unit` is what lives and dies as one: the file itself, or a folder."""

    name: str
    size: int  # bytes
    kind: Kind
    unit: str


@dataclass(frozen=True, kw_only=True)
class Stock:
    files: tuple[File, ...]

    def of(self, *kinds: Kind) -> list[File]:
        return [file for file in self.files if file.kind in kinds]

    def units(self, *kinds: Kind) -> dict[str, int]:
        """Unit -> bytes, sorted by name."""
        found: dict[str, int] = {}
        for file in sorted(self.of(*kinds), key=lambda file: file.unit):
            found[file.unit] = found.get(file.unit, 0) + file.size
        return found

    def bytes_of(self, *kinds: Kind) -> int:
        return sum(file.size for file in self.of(*kinds))


def superseded(manifest: Manifest) -> frozenset[str]:
    """Names of the files that replaced parts are in: whoever asks for them asks here."""
    return frozenset(gone.file for gone in manifest.retired)


def take_stock(store: Store, manifest: Manifest, *, models: Collection[str] | None = None) -> Stock:
    """All files of a corpus. `models`: paths of the students that have a row; None: not known,
    then all weights count as theirs. Raises CorpusError where the store does not answer."""
    with store.explained():
        listed = store.listed()
    live, replaced = frozenset(manifest.files), superseded(manifest)
    files = []
    for name, state in sorted(listed.items()):
        kind, unit = _kind(name, live, replaced, models)
        files.append(File(name=name, size=state.size, kind=kind, unit=unit))
    return Stock(files=tuple(files))


def _kind(
    name: str, live: frozenset[str], replaced: frozenset[str], models: Collection[str] | None
) -> tuple[Kind, str]:
    top, *below = name.split("/")
    if name in live:
        return "parts", name
    if top == PARTS:
        shown = "/".join(below)
        return ("superseded" if shown in live | replaced else "unfinished"), shown
    if name in replaced:
        return "superseded", name
    if top == SCRATCH:
        return "unfinished", SCRATCH
    if name in (MANIFEST, LOCK, COPYING, REPORT):
        return "own", name
    if top == JOURNAL:
        return "journal", JOURNAL
    if top == QUARANTINE:
        return "quarantine", name
    if top == WEIGHTS and below:
        return _kind_of_weights(name, below, models)
    if name.endswith(".tmp"):
        return "unfinished", name
    return ("unlisted" if top in TABLES and below else "foreign"), name


def _kind_of_weights(
    name: str, below: list[str], models: Collection[str] | None
) -> tuple[Kind, str]:
    unit = f"{WEIGHTS}/{below[0]}"
    if below[0] == UNFINISHED and len(below) > 1:
        return "checkpoints", f"{unit}/{below[1]}"
    if below[0].startswith("."):
        return "unfinished", unit
    if len(below) == 1:
        return ("logs" if name.endswith(".log") else "foreign"), name
    return ("weights" if models is None or unit in models else "unclaimed weights"), unit
