"""Opening a corpus for writing after anything: a crash, a torn or rotten file, a lost journal.

Invariant: afterwards the manifest, the parts, the journal and its ids agree, and nothing that was
finished is missing but what the disk itself lost; that is named in a warning. Nothing is deleted
before the manifest is ours: until then another writer may still be at work.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from infra.storage.errors import CorpusError
from infra.storage.journal import Journal, seal_fault
from infra.storage.manifest import Manifest, load_manifest, save_manifest, unfinished_copy
from infra.storage.parquet_parts import stored_ids
from infra.storage.retirement import Retirement
from infra.storage.soundness import Advance, look
from infra.storage.store import COPYING, JOURNAL, OURS, QUARANTINE, Store
from tasks.schemas import SCHEMA, TABLES

log = logging.getLogger("litecot.storage")


def assert_corpus_or_empty(store: Store) -> None:
    """Raises CorpusError if something else is there, or a corpus without its manifest."""
    if load_manifest(store) is not None:
        return
    others = [name for name in store.entries() if name not in OURS]
    if COPYING in others:
        raise CorpusError(unfinished_copy(store))
    if any(table in others for table in TABLES):
        raise CorpusError(f"{store}: its _manifest.json is gone; restore it from a backup")
    if others:
        raise CorpusError(
            f"{store}: is not a corpus but holds {others[0]}; pass an empty or a new folder"
        )


def open_journal(folder: Path) -> tuple[Journal, list[str]]:
    """The journal in a folder of this machine, and a warning where something in it is damaged."""
    (folder / JOURNAL).mkdir(exist_ok=True)
    path = folder / JOURNAL / "journal.sqlite"
    fault = seal_fault(path)
    try:
        journal = Journal(path)
        num_rotten = journal.drop_rotten()
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and not _is_damage(error, fault):
            raise  # a full or read-only disk: the journal itself is sound
        (folder / QUARANTINE).mkdir(exist_ok=True)
        for file in path.parent.glob("journal.sqlite*"):
            os.replace(file, folder / aside(file.name))
        warning = f"{path}: {error}; set aside, its last records are made again"
        log.warning("%s", warning)
        return Journal(path), [warning]
    if not fault and not num_rotten:
        return journal, []
    warning = f"{path}: {fault or 'holds other bytes than were written'}; "
    warning += f"{num_rotten} damaged records and replies are made again, the others are kept"
    log.warning("%s", warning)
    return journal, [warning]


def _is_damage(error: sqlite3.OperationalError, fault: str | None) -> bool:
    """SQLite's plain errors are of statements, and ours are right: then the tables are not."""
    return fault is not None or error.sqlite_errorcode == sqlite3.SQLITE_ERROR


def aside(name: str) -> str:
    """Where a damaged file is moved."""
    return f"{QUARANTINE}/{int(time.time())}-{name.replace('/', '-')}"


def recover(
    store: Store,
    journal: Journal,
    *,
    retirement: Retirement,
    is_damaged: bool = False,
    advance: Advance | None = None,
) -> tuple[Manifest, list[str]]:
    """Bring manifest, parts and journal into agreement; returns the manifest and warnings.

    `is_damaged`: the journal's ids are not to be believed.
    """
    known = load_manifest(store) or Manifest(journal=journal.name, schema=SCHEMA)
    known = retirement.begin(known, now=store.now())
    ours = replace(known, generation=known.generation + 1)
    save_manifest(store, ours)
    manifest, warnings = _quarantine(store, ours, advance)
    stale = manifest.journal != journal.name
    if stale:
        manifest = replace(manifest, journal=journal.name, folded=0)
    behind = journal.last_seq() < manifest.folded
    if behind:
        journal.skip_to(manifest.folded)
    journal.forget(upto=manifest.folded)
    if stale or behind or warnings or is_damaged:
        journal.relearn(all_ids(store, manifest))
    if manifest != ours:
        save_manifest(store, manifest)
    kept = {gone.file for gone in manifest.retired}
    for path in store.settle(list(TABLES), live={*manifest.files}, kept=kept):
        log.info("%s: left by a crash, removed", path)
    return manifest, warnings


def _quarantine(
    store: Store, manifest: Manifest, advance: Advance | None
) -> tuple[Manifest, list[str]]:
    """Without the parts that are not what was written; the others all with a checksum."""
    warnings = []
    unsummed = sum(not part.checksum for live in manifest.parts.values() for part in live)
    if unsummed:
        log.info("%s: %d parts of an earlier version are read in full, once", store, unsummed)
    for one in look(store, manifest, deep=True, advance=advance):
        name = one.file
        if one.fault is None:
            if not one.part.checksum:
                manifest = manifest.with_checksum(one.table, one.part, store.checksum(name))
            continue
        manifest = manifest.without(one.table, one.part)
        if one.is_there:
            store.set_aside(name, aside(name))
        warnings.append(
            f"{store.where(name)}: {one.fault}; {'set aside, ' if one.is_there else ''}its "
            f"{one.part.rows} rows {_fate(one.table)}"
        )
    return manifest, warnings


def _fate(table: str) -> str:
    if table in TABLES and not TABLES[table].is_made_again:
        return "told what once happened, and are lost"
    return "are made again by the recipe that made them"


def all_ids(store: Store, manifest: Manifest) -> Iterator[int]:
    """Of all live rows, as the journal numbers them."""
    for table, live in manifest.parts.items():
        for part in live if table in TABLES else ():
            yield from stored_ids(store.open(f"{table}/{part.name}"), TABLES[table])
