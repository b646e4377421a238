"""Opening a corpus for writing after anything: a crash, a torn file, a lost journal.

Invariant: afterwards the manifest, the parts on disk, the journal and its ids agree, and nothing
that was finished is missing but what the disk itself lost; that is named in a warning.
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
from infra.storage.journal import Journal
from infra.storage.manifest import Manifest, load_manifest, save_manifest
from infra.storage.parts import part_fault, stored_ids
from tasks.schemas import TABLES

JOURNAL = "_journal"
LOCK = "_lock"
QUARANTINE = "_quarantine"
OURS = {JOURNAL, LOCK, QUARANTINE, "_manifest.json.tmp"}

log = logging.getLogger("litecot.storage")


def make_folder(corpus: Path) -> None:
    """Make the corpus folder. Raises CorpusError if a folder of something else is there."""
    corpus.mkdir(parents=True, exist_ok=True)
    if load_manifest(corpus) is not None:
        return
    others = sorted(entry.name for entry in corpus.iterdir() if entry.name not in OURS)
    if any((corpus / table).is_dir() for table in TABLES):
        raise CorpusError(f"{corpus}: its _manifest.json is gone; restore it from a backup")
    if others:
        raise CorpusError(
            f"{corpus}: is not a corpus but holds {others[0]}; pass an empty or a new folder"
        )


def open_journal(corpus: Path) -> tuple[Journal, list[str]]:
    """The journal, and a warning where a damaged one had to be set aside."""
    folder = corpus / JOURNAL
    folder.mkdir(exist_ok=True)
    path = folder / "journal.sqlite"
    try:
        return Journal(path), []
    except sqlite3.OperationalError:
        raise  # a full or read-only disk: the journal itself is sound
    except sqlite3.DatabaseError as error:
        for file in folder.glob("journal.sqlite*"):
            _set_aside(corpus, file)
        return Journal(path), [f"{path}: {error}; set aside, its last records are made again"]


def recover(corpus: Path, journal: Journal, *, grace_s: float) -> tuple[Manifest, list[str]]:
    """Bring manifest, parts and journal into agreement; returns the manifest and warnings."""
    known = load_manifest(corpus)
    manifest = known or Manifest(journal=journal.name)
    manifest, warnings = _quarantine(corpus, manifest)
    stale = manifest.journal != journal.name
    if stale:
        manifest = replace(manifest, journal=journal.name, folded=0)
    behind = journal.last_seq() < manifest.folded
    if behind:
        journal.skip_to(manifest.folded)
    journal.forget(upto=manifest.folded)
    if stale or behind or warnings:
        journal.relearn(_all_ids(corpus, manifest))
    manifest = drop_retired(corpus, manifest, grace_s=grace_s)
    if manifest != known:
        save_manifest(corpus, manifest)
    _remove_orphans(corpus, manifest)
    return manifest, warnings


def drop_retired(corpus: Path, manifest: Manifest, *, grace_s: float) -> Manifest:
    """Delete replaced parts older than `grace_s` seconds; their readers had that long."""
    old = [gone for gone in manifest.retired if time.time() - gone.at >= grace_s]
    for gone in old:
        (corpus / gone.table / gone.name).unlink(missing_ok=True)
    return replace(manifest, retired=tuple(g for g in manifest.retired if g not in old))


def _quarantine(corpus: Path, manifest: Manifest) -> tuple[Manifest, list[str]]:
    warnings = []
    for table, live in manifest.parts.items():
        for part in live:
            path = corpus / table / part.name
            fault = part_fault(path, part)
            if fault is None:
                continue
            manifest = manifest.without(table, part)
            if path.exists():
                _set_aside(corpus, path)
            warnings.append(
                f"{path}: {fault}; set aside, its {part.rows} rows are made again by the next run"
            )
    return manifest, warnings


def _set_aside(corpus: Path, file: Path) -> None:
    folder = corpus / QUARANTINE
    folder.mkdir(exist_ok=True)
    os.replace(file, folder / f"{int(time.time())}-{file.parent.name}-{file.name}")


def _all_ids(corpus: Path, manifest: Manifest) -> Iterator[int]:
    for table, live in manifest.parts.items():
        for part in live if table in TABLES else ():
            yield from stored_ids(corpus / table / part.name, TABLES[table])


def _remove_orphans(corpus: Path, manifest: Manifest) -> None:
    """Delete what a crash left: temporary files, and parts that never reached the manifest."""
    named = {(table, part.name) for table, live in manifest.parts.items() for part in live}
    named |= {(gone.table, gone.name) for gone in manifest.retired}
    for table in TABLES:
        for path in (corpus / table).glob("part-*"):
            if (table, path.name) not in named:
                log.info("%s: left by a crash, removed", path)
                path.unlink()
    (corpus / "_manifest.json.tmp").unlink(missing_ok=True)
