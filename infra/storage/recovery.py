"""Opening a corpus for writing after anything: a crash, a torn file, a lost journal.

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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from infra.storage.errors import CorpusError
from infra.storage.journal import Journal
from infra.storage.manifest import Manifest, Part, load_manifest, save_manifest
from infra.storage.parquet_parts import part_fault, stored_ids
from infra.storage.retirement import Retirement
from infra.storage.store import JOURNAL, OURS, QUARANTINE, Store
from tasks.schemas import TABLES

THREADS = 16  # parts looked at at once: an object store answers each after a while

log = logging.getLogger("litecot.storage")


def assert_corpus_or_empty(store: Store) -> None:
    """Raises CorpusError if something else is there, or a corpus without its manifest."""
    if load_manifest(store) is not None:
        return
    others = [name for name in store.entries() if name not in OURS]
    if any(table in others for table in TABLES):
        raise CorpusError(f"{store}: its _manifest.json is gone; restore it from a backup")
    if others:
        raise CorpusError(
            f"{store}: is not a corpus but holds {others[0]}; pass an empty or a new folder"
        )


def open_journal(folder: Path) -> tuple[Journal, list[str]]:
    """The journal in a folder of this machine, and a warning where a damaged one is set aside."""
    (folder / JOURNAL).mkdir(exist_ok=True)
    path = folder / JOURNAL / "journal.sqlite"
    try:
        return Journal(path), []
    except sqlite3.OperationalError:
        raise  # a full or read-only disk: the journal itself is sound
    except sqlite3.DatabaseError as error:
        (folder / QUARANTINE).mkdir(exist_ok=True)
        for file in path.parent.glob("journal.sqlite*"):
            os.replace(file, folder / aside(file.name))
        warning = f"{path}: {error}; set aside, its last records are made again"
        log.warning("%s", warning)
        return Journal(path), [warning]


def aside(name: str) -> str:
    """Where a damaged file is moved."""
    return f"{QUARANTINE}/{int(time.time())}-{name.replace('/', '-')}"


def recover(
    store: Store, journal: Journal, *, retirement: Retirement
) -> tuple[Manifest, list[str]]:
    """Bring manifest, parts and journal into agreement; returns the manifest and warnings."""
    known = load_manifest(store) or Manifest(journal=journal.name)
    known = retirement.begin(known, now=store.now())
    ours = replace(known, generation=known.generation + 1)
    save_manifest(store, ours)
    manifest, warnings = _quarantine(store, ours)
    stale = manifest.journal != journal.name
    if stale:
        manifest = replace(manifest, journal=journal.name, folded=0)
    behind = journal.last_seq() < manifest.folded
    if behind:
        journal.skip_to(manifest.folded)
    journal.forget(upto=manifest.folded)
    if stale or behind or warnings:
        journal.relearn(_all_ids(store, manifest))
    if manifest != ours:
        save_manifest(store, manifest)
    live = {*manifest.files, *(gone.file for gone in manifest.retired)}
    for path in store.remove_leftovers(list(TABLES), live):
        log.info("%s: left by a crash, removed", path)
    return manifest, warnings


def _quarantine(store: Store, manifest: Manifest) -> tuple[Manifest, list[str]]:
    warnings = []
    for table, part, fault, is_there in _faults(store, manifest):
        name = f"{table}/{part.name}"
        manifest = manifest.without(table, part)
        if is_there:
            store.set_aside(name, aside(name))
        warnings.append(
            f"{store.where(name)}: {fault}; {'set aside, ' if is_there else ''}its {part.rows} "
            "rows are made again by the recipe that made them"
        )
    return manifest, warnings


def _faults(store: Store, manifest: Manifest) -> list[tuple[str, Part, str, bool]]:
    """Table, part, what is wrong with it, and whether there is a file at all."""
    sizes = store.sizes(manifest.files)

    def look(table: str, part: Part) -> tuple[str, Part, str | None, bool]:
        name = f"{table}/{part.name}"
        fault = part_fault(store, name, part, size=sizes.get(name))
        return table, part, fault, name in sizes

    with ThreadPoolExecutor(THREADS) as pool:
        looks = [
            pool.submit(look, table, part)
            for table, live in manifest.parts.items()
            for part in live
        ]
        seen = [one.result() for one in looks]
    return [(table, part, fault, there) for table, part, fault, there in seen if fault]


def _all_ids(store: Store, manifest: Manifest) -> Iterator[int]:
    for table, live in manifest.parts.items():
        for part in live if table in TABLES else ():
            yield from stored_ids(store.open(f"{table}/{part.name}"), TABLES[table])
