"""Is a corpus sound: every byte, every file, every row? And if not, what is lost and what mends it.

Invariants: nothing is changed, so it may be asked of a read-only corpus and of one that is being
written. A fault is what makes an answer wrong or a row missing; what only takes room is a note.

    rationales: corpus/rationales/part-000000000128-9c0e12-3fa2c1.parquet (shards 0 to 2): holds
    other bytes than were written; a rerun makes its 96 rows again (nano: generate 80, verify 16)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from infra.care.facts import facts, model_paths
from infra.care.migrating import old_parts
from infra.care.remaking import Lost, remade, what_is_lost
from infra.care.stock import Stock, take_stock
from infra.care.trained import weights_faults
from infra.care.words import amount
from infra.storage.corpus import Corpus
from infra.storage.journal import Told, read_journal
from infra.storage.manifest import Manifest, Part
from infra.storage.parquet_parts import schema_fault
from infra.storage.recovery import all_ids
from infra.storage.soundness import Advance, Looked
from infra.storage.store import JOURNAL
from sql.database import Database

THREADS = 16
MAX_NAMED = 3
RERUN = "run the recipe again"


@dataclass(kw_only=True)
class Report:
    """What was found. `lost`: what a rerun has to make again, once `heal` took it out."""

    parts: list[Part]
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lost: Lost = field(default_factory=Lost)

    @property
    def num_unsummed(self) -> int:
        """Parts of an earlier version, without a checksum of the whole."""
        return sum(not part.checksum for part in self.parts)


def check(corpus: Corpus, advance: Advance | None = None) -> Report:
    """Look at everything. Raises CorpusError: no corpus, or its store is away."""
    manifest = corpus.manifest()
    seen = corpus.looked_through(advance)
    damaged = [one for one in seen if one.fault]
    report = Report(parts=[one.part for one in seen])
    writer = corpus.store.writer()
    with facts(corpus, manifest, without=[one.file for one in damaged]) as database:
        report.faults += remade(corpus.store, damaged, database)
        report.lost = what_is_lost(damaged, database)
        report.faults += _schemas(corpus, manifest, damaged)
        if damaged:
            report.notes.append("ids and lineage are looked at once that is healed")
        else:
            report.faults += _rows(database)
        models = None if any(one.table == "models" for one in damaged) else model_paths(database)
    if old := old_parts(corpus):
        report.notes.append(
            f"{amount(len(old), 'part')} of an earlier version lack columns that came later: here "
            "they are null; for other readers of the folder `litecot corpus migrate` adds them"
        )
    report.faults += _journal(corpus, manifest, is_whole=not damaged and writer is None)
    _files(corpus, take_stock(corpus.store, manifest, models=models), report, writer)
    return report


# --- rows


def _rows(database: Database) -> Iterator[str]:
    twice = database.run_file("care", "repeated_ids").records()
    by_table: dict[str, list[str]] = {}
    for row in twice:
        by_table.setdefault(row["table_name"], []).append(row["id"])
    for table, ids in by_table.items():
        yield (
            f"{table}: {amount(len(ids), 'id')} stored more than once ({_named(ids)}); "
            "`litecot corpus check --heal` keeps the first of each"
        )
    for row in database.run_file("care", "broken_lineage").records():
        yield (
            f"{row['table_name']}: {amount(row['num_rows'], 'row')} made from "
            f"{amount(row['num_missing'], 'row')} that {_is(row['num_missing'])} not there "
            f"({row['column_name']} of {row['example']} is {row['missing']}); {RERUN}: it makes "
            "again what is missing"
        )


def _schemas(corpus: Corpus, manifest: Manifest, damaged: Sequence[Looked]) -> Iterator[str]:
    bad = {one.file for one in damaged}
    names = [
        (table, f"{table}/{part.name}")
        for table, live in manifest.parts.items()
        for part in live
        if f"{table}/{part.name}" not in bad
    ]
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda one: schema_fault(corpus.store, *one), names)
        for (_, name), fault in zip(names, found, strict=True):
            if fault:
                yield f"{corpus.store.where(name)}: {fault}"


# --- the journal


def _journal(corpus: Corpus, manifest: Manifest, *, is_whole: bool) -> Iterator[str]:
    """`is_whole`: all parts can be read and nobody writes, so that ids can be compared."""
    if fault := corpus.journal_fault():
        yield fault
        return
    path = corpus.store.folder / JOURNAL / "journal.sqlite"
    try:
        told = read_journal(path, folded=manifest.folded)
    except sqlite3.Error as error:
        yield f"{path}: cannot be read ({error}); {RERUN}: it makes the last seconds' records again"
        return
    if told is None or told.name != manifest.journal:  # the next writer learns it all anew
        return
    if told.last_seq < manifest.folded:
        yield (
            f"{path}: knows of {told.last_seq} records and the manifest of {manifest.folded}: it "
            "is an older one; the next run learns it anew"
        )
    elif is_whole:
        yield from _ids(corpus, manifest, told, str(path))


def _ids(corpus: Corpus, manifest: Manifest, told: Told, path: str) -> Iterator[str]:
    import numpy as np

    stored = np.fromiter(all_ids(corpus.store, manifest), dtype=np.int64)
    known = np.frombuffer(told.ids, dtype=np.int64)
    waiting = np.frombuffer(told.waiting, dtype=np.int64)
    gone = np.setdiff1d(known, np.concatenate([stored, waiting])).size
    new = np.setdiff1d(stored, known).size
    mend = "`litecot corpus check --heal` learns them anew"
    if gone:
        yield (
            f"{path}: takes {amount(gone, 'row')} for stored that {_is(gone)} in no part, so a "
            f"rerun would leave {'it' if gone == 1 else 'them'} out; {mend}"
        )
    if new:
        yield (
            f"{path}: does not know {amount(new, 'row')} of the parts, so a rerun could store "
            f"{'it' if new == 1 else 'them'} twice; {mend}"
        )


# --- files


def _files(corpus: Corpus, stock: Stock, report: Report, writer: str | None) -> None:
    where = corpus.store.where
    if writer is None:
        report.faults += [
            f"{where(name)}: {size} bytes that no manifest lists, so whoever reads the folder "
            "by itself counts others' rows; `litecot corpus check --heal` takes it out"
            for name, size in stock.units("unlisted").items()
        ]
        for unit, size in stock.units("unfinished").items():
            report.notes.append(f"{where(unit)}: left by a run that was killed, {size} bytes")
    else:
        report.notes.append(f"is being written by {writer}: what nobody lists yet is left out")
    for unit, size in stock.units("unclaimed weights").items() if writer is None else ():
        report.notes.append(
            f"{where(unit)}: weights of no row of models, {size} bytes; {RERUN} and it takes them "
            "over, or free them with `litecot corpus prune --leftovers`"
        )
    for unit, size in stock.units("checkpoints").items():
        report.notes.append(
            f"{where(unit)}: checkpoints of a training that has not come to its end, {size} bytes; "
            "where it was given up free them with `litecot corpus prune --leftovers`"
        )
    for name in stock.units("foreign"):
        report.notes.append(f"{where(name)}: is none of the corpus' files")
    aside = stock.units("quarantine")
    if aside:
        report.notes.append(
            f"{amount(len(aside), 'damaged file')} set aside before, {sum(aside.values())} bytes; "
            "`litecot corpus prune --leftovers` frees them"
        )
    report.faults += weights_faults(corpus.store, stock)


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _named(ids: Iterable[str]) -> str:
    some = list(ids)
    more = f" and {len(some) - MAX_NAMED} more" if len(some) > MAX_NAMED else ""
    return ", ".join(some[:MAX_NAMED]) + more
