"""The truth of a corpus: which parts are live, and up to which record the journal is folded in.

Invariant: `_manifest.json` is replaced in one step (infra/storage/store.py), so a reader or a crash
sees the old one or the new one; a part it does not name does not exist. It ends in a checksum of
all bytes before, so that what rotted in it is named and never believed.

    {"version": 3, "needs": "0.1.0", "schema": 2, "generation": 7, "journal": "5f0c...",
     "folded": 128, "retired": [],
     "parts": {"rationales": [{"name": "part-000000000128-9c0e12-3fa2c1.parquet", ...}]},
     "seal": "b1f0c3d9a7e4410f9c0e12f4a7e44105"}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from typing import Any

from infra.storage.checksums import checksum_of
from infra.storage.errors import CorpusError
from infra.storage.names import checked_part
from infra.storage.store import COPYING, MANIFEST, Store
from tasks.schemas import SCHEMA

VERSION = 3
NEEDS = "0.1.0"  # the first litecot that reads this version and schema: what an older one will say
SEALED = range(2, VERSION + 1)  # 2: said nothing of the tables' schema
UNSEALED = 1  # had no checksums, neither its own nor of parts
FIRST_SCHEMA = 1  # of corpora whose manifest does not say
_SEALED = re.compile(rb'(.*,\n "seal": ")([0-9a-f]{32})"\n}', re.DOTALL)


class NewerError(ValueError):
    """Written by a later version of litecot than this one."""


class ManifestError(CorpusError):
    """The manifest cannot be believed: which parts there are is not known."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One Parquet file of a table, and what it was when written: what differs is torn or rotten.

    `checksum` is empty where an earlier version wrote it, until it is read in full. `shards` and
    `made` say what is lost with it.
    """

    name: str
    rows: int
    bytes: int
    checksum: str = ""  # infra/storage/checksums.py
    etag: str = ""  # tag of the object on an object store
    shards: tuple[int | None, ...] = ()  # whose rows it holds, None: of no shard
    made: Mapping[str, int] = field(default_factory=dict)  # stage fingerprint -> rows


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
    schema: int = FIRST_SCHEMA  # which tasks/schemas.py all live parts have, at least
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

    def with_live(self, parts: Mapping[str, Sequence[Part]], *, at: float) -> Manifest:
        """`parts` instead of all that are live, of all tables in one step."""
        gone = tuple(
            Retired(table=table, name=part.name, at=at)
            for table, live in self.parts.items()
            for part in live
            if part not in parts.get(table, ())
        )
        live = {table: tuple(some) for table, some in parts.items()}
        return replace(self, parts=live, retired=self.retired + gone)

    def without_retired(self, gone: Sequence[Retired]) -> Manifest:
        return replace(self, retired=tuple(one for one in self.retired if one not in gone))

    def without(self, table: str, part: Part) -> Manifest:
        live = tuple(kept for kept in self.parts[table] if kept != part)
        return replace(self, parts={**self.parts, table: live})

    def with_etag(self, table: str, part: Part, etag: str) -> Manifest:
        live = tuple(
            replace(kept, etag=etag) if kept == part else kept for kept in self.parts[table]
        )
        return replace(self, parts={**self.parts, table: live})

    def with_checksum(self, table: str, part: Part, checksum: str) -> Manifest:
        summed = replace(part, checksum=checksum)
        live = tuple(summed if kept == part else kept for kept in self.parts[table])
        return replace(self, parts={**self.parts, table: live})


def load_manifest(store: Store) -> Manifest | None:
    """The corpus' manifest, None where there is none. Raises ManifestError."""
    content = store.read(MANIFEST)
    if content is None:
        return None
    path = store.where(MANIFEST)
    try:
        manifest = _decode(_read(content))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        newer = isinstance(error, NewerError)
        remedy = "upgrade litecot" if newer else "restore it from a backup"
        raise ManifestError(f"{path}: {error}; {remedy}") from error
    for name in [*manifest.files, *(gone.file for gone in manifest.retired)]:
        checked_part(name, of=path)
    return manifest


def unfinished_copy(store: Store) -> str:
    """What is said of a place that the first copy of a corpus did not come to its end in."""
    try:
        of = str(json.loads(store.read(COPYING) or b"")["of"])
    except (ValueError, TypeError, KeyError):
        of = "FROM"
    return f"{store}: is an unfinished copy; go on with `litecot corpus copy {of} {store}`"


def _read(content: bytes) -> dict[str, Any]:
    """Raises ValueError where a byte is another than was written, or the version another."""
    sealed = _SEALED.fullmatch(content)
    if sealed and checksum_of(sealed[1]) != sealed[2].decode():
        raise ValueError("holds other bytes than were written")
    try:
        read = json.loads(content)
    except ValueError as error:
        raise ValueError(f"not JSON ({error})") from error
    version = read.pop("version", None)
    needs = read.pop("needs", "a later version")
    _assert_known("manifest", version, VERSION, needs)
    _assert_known("schema", read.get("schema"), SCHEMA, needs)
    if version not in SEALED if sealed else version != UNSEALED:
        raise ValueError("holds other bytes than were written")
    if sealed:
        del read["seal"]
    return dict(read)


def _assert_known(what: str, written: object, known: int, needs: object) -> None:
    """Raises NewerError. What else a later version writes is not looked at."""
    if isinstance(written, int) and written > known:
        raise NewerError(
            f"needs litecot {needs} or later (its {what} is of version {written}, and this "
            f"litecot, {version_here()}, knows {known})"
        )


def version_here() -> str:
    """Of the package that runs."""
    try:
        return metadata.version("litecot")
    except metadata.PackageNotFoundError:  # a checkout that nobody installed
        return "not installed"


def _decode(read: dict[str, Any]) -> Manifest:
    """Raises what an unknown, missing or unfit field raises."""
    tables: dict[str, list[dict[str, Any]]] = read.pop("parts")
    gone: list[dict[str, Any]] = read.pop("retired")
    return Manifest(
        **read,
        parts={name: tuple(_part(**live) for live in parts) for name, parts in tables.items()},
        retired=tuple(Retired(**one) for one in gone),
    )


def _part(*, shards: Sequence[int | None] = (), **read: Any) -> Part:
    return Part(shards=tuple(shards), **read)


def save_manifest(store: Store, manifest: Manifest) -> None:
    """Durable when it returns."""
    store.replace(MANIFEST, sealed(manifest))


def sealed(manifest: Manifest) -> bytes:
    """As it is stored."""
    body = json.dumps({"version": VERSION, "needs": NEEDS, **asdict(manifest)}, indent=1)
    head = body.removesuffix("\n}").encode() + b',\n "seal": "'
    return head + checksum_of(head).encode() + b'"\n}'
