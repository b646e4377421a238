"""Writing a corpus: finished records go to the journal at once, and from there into parts.

Invariant: every row is in the journal or in a live part, never in neither and, for a reader, never
in both; the manifest's `folded` decides which, and it changes in one step. An object store that is
not there delays parts, never records.

    with CorpusWriter(path) as corpus:
        corpus.finish(problem_id, [rationale], stage_fingerprint="7c1e...", run_id="a90b...")
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.storage.corpus import part_files
from infra.storage.errors import StoreUnavailableError
from infra.storage.journal import Entry
from infra.storage.lock import Note, WriterLock
from infra.storage.manifest import Manifest, Part, save_manifest
from infra.storage.opening import open_store
from infra.storage.parquet_parts import merge_parts, read_entries, write_part
from infra.storage.recovery import all_ids, assert_corpus_or_empty, log, open_journal, recover
from infra.storage.retirement import Retirement
from infra.storage.rows import Stamp, Stored, stamped
from infra.storage.soundness import Advance
from infra.storage.store import LOCK, Store
from tasks.schemas import TABLES, Row

FOLD_RECORDS = 2_000
FOLD_SECONDS = 5.0
TARGET_BYTES = 128 * 2**20  # of a compacted part
AUTO_PARTS = 64  # small parts of one table before it is compacted in passing
AUTO_BYTES = 16 * 2**20  # target of compaction in passing: bounds what is written again
GRACE_SECONDS = 600.0  # a replaced part stays this long for readers that still list it
PATIENCE_SECONDS = 300.0  # an object store may be away so long before `flush` gives up
RETRY_SECONDS = 2.0


class CorpusWriter:
    """The one writer of a corpus. Opening recovers; `warnings` says what the disk had lost.

    Parts this machine does not know yet are read in full: `advance` is told bytes done, of all.

    Raises CorpusError: another writer, a folder that is no corpus, a disk that is full or
    read-only, an object store that refuses. Methods may be called from any thread.
    """

    def __init__(
        self,
        location: Path | str | Store,
        *,
        fold_records: int = FOLD_RECORDS,
        fold_seconds: float = FOLD_SECONDS,
        grace_s: float = GRACE_SECONDS,
        patience_s: float = PATIENCE_SECONDS,
        advance: Advance | None = None,
    ) -> None:
        self.store = open_store(location)
        self._fold_records, self._fold_seconds = fold_records, fold_seconds
        self._patience_s = patience_s
        self._away_since: float | None = None  # the object store, by the steady clock
        self._retirement = Retirement(grace_s=grace_s)
        self._folding = threading.RLock()
        self._background = ThreadPoolExecutor(max_workers=1, thread_name_prefix="litecot-fold")
        self._fold: Future[None] | None = None
        self._folded_at = time.monotonic()
        with self.store.explained():
            assert_corpus_or_empty(self.store)
            self.store.folder.mkdir(parents=True, exist_ok=True)
            self._lock = WriterLock(self.store.folder / LOCK, of=str(self.store))
        try:
            self._open(advance)
        except BaseException:
            self._lock.release()
            raise

    def _open(self, advance: Advance | None) -> None:
        import pyarrow.parquet  # noqa: F401  here, not at the first fold: that one delays requests

        with self.store.explained():
            self._journal, damage = open_journal(self.store.folder)
            try:
                self.store.claim(self._journal.name)
                self.warnings = (*damage, *self._recover(bool(damage), advance))
                self.flush()
            except BaseException:
                self.store.release()
                self._journal.close()
                raise

    def _recover(self, is_damaged: bool, advance: Advance | None) -> list[str]:
        self._manifest, lost = recover(
            self.store, self._journal,
            retirement=self._retirement, is_damaged=is_damaged, advance=advance,
        )  # fmt: skip
        for warning in lost:
            log.warning("%s", warning)
        self._num_pending = self._journal.num_pending()
        self._drop_retired()
        return lost

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is None:
            return self.close()
        self._patience_s = 0.0  # somebody waits to hear of it; the journal keeps what is finished
        try:
            self.close()
        except StoreUnavailableError as away:
            log.warning("%s", away)

    def close(self) -> None:
        """Fold what is pending and let the next writer in."""
        try:
            self._background.shutdown()
            self.flush()
        finally:
            self.store.release()
            self._journal.close()
            self._lock.release()

    # --- what outlives a killed writer

    @property
    def holder(self) -> Note:
        """Who writes: pid, host, since."""
        return self._lock.holder

    @property
    def notes(self) -> tuple[Note, ...]:
        """Left under the lock by this writer and by those that died before they took theirs out."""
        return self._lock.notes

    def keep_notes(self, notes: Sequence[Note]) -> None:
        """Leave these instead."""
        with self.store.explained():
            self._lock.keep(notes)

    def tell(self, run_id: str, told: Note | None) -> None:
        """How far a run is, for `litecot status`; None: it has ended."""
        with self.store.explained():
            self._lock.tell(run_id, told)

    # --- records

    def finish(
        self,
        input_id: str,
        rows: Sequence[Row],
        *,
        stage_fingerprint: str,
        run_id: str,
        shard: int | None = None,
        requests_done: Sequence[str] = (),
    ) -> int:
        """Store all rows of one finished record, durable on return; how many were new.

        A row whose id is stored already is left as it is. `shard` says which one's work is lost
        should the rows' part be. `requests_done` are the request keys whose payload nobody needs
        any more. Raises ValueError for no rows or a value that does
        not fit its column, CorpusError when the disk refuses.
        """
        if not rows:
            raise ValueError(f"record {input_id}: ends in no row; return a Rejection that says why")
        stamp = Stamp(run_id=run_id, stage_fingerprint=stage_fingerprint, input_id=input_id)
        tables: dict[str, list[Stored]] = {}
        for row in rows:
            tables.setdefault(row.table, []).append(stamped(row, stamp))
        self.store.assert_claimed()
        with self.store.explained():
            num_new = self._journal.append(tables, shard=shard, requests_done=requests_done)
        self._num_pending += 1
        self._fold_if_due()
        return num_new

    @contextmanager
    def together(self) -> Iterator[None]:
        """Records and requests stored inside are one transaction, durable at its end."""
        with self.store.explained(), self._journal.transaction():
            yield

    def _fold_if_due(self) -> None:
        """Fold in the background, one at a time, so that the caller's event loop goes on."""
        if self._fold is not None:
            if not self._fold.done():
                return
            ended, self._fold = self._fold, None
            ended.result()  # raises what it met: a full disk, say
        late = time.monotonic() - self._folded_at >= self._fold_seconds
        if late or (self._num_pending >= self._fold_records and self._away_since is None):
            self._fold = self._background.submit(self._try_fold)

    def _try_fold(self) -> None:
        """Fold, or leave it for later where the object store is away: the journal has it all."""
        try:
            self._fold_pending()
        except StoreUnavailableError as error:
            self._note_away(error)

    def flush(self) -> None:
        """Fold all finished records into parts; afterwards readers see them.

        Raises StoreUnavailableError where the object store stays away for `patience_s`.
        """
        while True:
            try:
                return self._fold_pending()
            except StoreUnavailableError as error:
                away_s = self._note_away(error)
                if away_s >= self._patience_s:
                    raise StoreUnavailableError(f"{error} ({self._what_waits()})") from error
            time.sleep(min(RETRY_SECONDS, self._patience_s))

    def _fold_pending(self) -> None:
        with self._folding, self.store.explained():
            self._folded_at = time.monotonic()
            upto = self._journal.last_seq()  # what is finished meanwhile waits for the next fold
            while self._manifest.folded < upto:
                if not (batch := self._journal.pending(after=self._manifest.folded)):
                    break
                self._fold_batch(batch)
            self._num_pending = self._journal.num_pending()
            for table, live in self._manifest.parts.items():
                if sum(part.bytes < AUTO_BYTES // 2 for part in live) > AUTO_PARTS:
                    self.compact(table, target_bytes=AUTO_BYTES)
        if self._away_since is not None:
            log.warning("%s: answers again, everything finished is uploaded", self.store)
            self._away_since = None

    def _note_away(self, error: StoreUnavailableError) -> float:
        """How long the object store has been away, seconds; said once."""
        now = self._folded_at = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            log.warning("%s (%s; trying again)", error, self._what_waits())
        return now - self._away_since

    def _what_waits(self) -> str:
        return f"{self._journal.num_pending()} finished records wait in {self.store.folder}"

    def _fold_batch(self, batch: Sequence[Entry]) -> None:
        last = batch[-1].seq
        tables = read_entries([entry.body for entry in batch])
        self._journal.make_durable()  # the manifest must never be ahead of the journal
        parts = {
            name: write_part(
                self.store, name, table, seq=last, shards={batch[n].shard for n in having}
            )
            for name, (table, having) in tables.items()
        }
        self._adopt(self._manifest.with_parts(parts, folded=last))
        self._journal.forget(upto=last)

    def _adopt(self, manifest: Manifest) -> None:
        save_manifest(self.store, manifest)
        self._manifest = manifest

    # --- parts

    def parts(self) -> dict[str, list[str]]:
        """Table -> live files; `flush` first to have every finished record in them."""
        return part_files(self.store, self._manifest)

    def compact(self, table: str | None = None, *, target_bytes: int = TARGET_BYTES) -> int:
        """Merge neighbouring small parts of one table or all; returns how many parts went."""
        num_merged = 0
        with self._folding, self.store.explained():
            for name in [table] if table else list(self._manifest.parts):
                for group in _small_neighbours(self._manifest.parts.get(name, ()), target_bytes):
                    self._replace(name, group, merge_parts(self.store, TABLES[name], group))
                    num_merged += len(group)
            self._drop_retired()
        return num_merged

    @property
    def manifest(self) -> Manifest:
        """The live parts; `flush` first to have every finished record in them."""
        return self._manifest

    def replace_parts(
        self, parts: Mapping[str, Sequence[Part]], *, schema: int | None = None
    ) -> None:
        """`parts`, published apart all, instead of those that are live, in one step. `schema`:
        which they have; by default as before.

        Which ids are stored is learnt anew from them: what they have no more can be stored again.
        """
        with self._folding, self.store.explained():
            # `parts` were made of those that are live now.
            assert not self._journal.pending(after=self._manifest.folded), "flush before"
            # Killed before the ids are learnt: without its name the journal is not believed.
            manifest = self._manifest.with_live(parts, at=self.store.now())
            schema = self._manifest.schema if schema is None else schema
            self._adopt(replace(manifest, journal="", schema=schema))
            kept = {gone.file for gone in self._manifest.retired}
            self.store.settle(list(TABLES), live=self._manifest.files, kept=kept)
            self._journal.relearn(all_ids(self.store, self._manifest))
            folded = self._journal.last_seq()
            self._adopt(replace(self._manifest, journal=self._journal.name, folded=folded))
            self._drop_retired()

    def _replace(self, table: str, old: Sequence[Part], merged: Part) -> None:
        """The manifest first: what an object store's writer deletes must be its own to delete."""
        self._adopt(self._manifest.with_merged(table, old, merged, at=self.store.now()))
        gone = [f"{table}/{part.name}" for part in old]
        etag = self.store.exchange(gone, f"{table}/{merged.name}")
        if etag != merged.etag:
            self._adopt(self._manifest.with_etag(table, merged, etag))

    def _drop_retired(self) -> None:
        """Delete replaced parts that no reader should have open any more."""
        if over := self._retirement.over(self._manifest):
            for gone in over:
                self.store.delete(gone.file)
            self._adopt(self._manifest.without_retired(over))

    # --- requests

    def issued(self, key: str) -> None:
        """Remember, before sending it, that request `key` is paid for."""
        with self.store.explained():
            self._journal.issued(key)

    def completed(self, key: str, payload: str) -> None:
        """Remember the reply of request `key` until its record is finished."""
        with self.store.explained():
            self._journal.completed(key, payload)

    def lookup(self, key: str) -> str | None:
        """The reply of request `key`, if it came and its record is not finished yet."""
        with self.store.explained():
            return self._journal.lookup(key)

    def counts(self) -> tuple[int, int]:
        """Requests issued over the corpus' life, and of these the ones issued before."""
        with self.store.explained():
            return self._journal.counts()


def _small_neighbours(parts: Sequence[Part], target_bytes: int) -> list[list[Part]]:
    """Runs of at least two adjacent parts below half the target, each up to about the target."""
    groups: list[list[Part]] = []
    for is_small, run in groupby(parts, key=lambda part: part.bytes < target_bytes // 2):
        size = 0
        for part in run if is_small else ():
            if size == 0:
                groups.append([])
            groups[-1].append(part)
            size = 0 if size + part.bytes >= target_bytes else size + part.bytes
    return [group for group in groups if len(group) > 1]
