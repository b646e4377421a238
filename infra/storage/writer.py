"""Writing a corpus: finished records go to the journal at once, and from there into parts.

Invariant: every row is in the journal or in a live part, never in neither and, for a reader, never
in both; the manifest's `folded` decides which, and it changes in one rename.

    with CorpusWriter(path) as corpus:
        corpus.finish(problem_id, [rationale], stage_fingerprint="7c1e...", run_id="a90b...")
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.storage.corpus import part_files
from infra.storage.errors import explained
from infra.storage.lock import WriterLock
from infra.storage.manifest import Manifest, Part, save_manifest
from infra.storage.parts import merge_parts, write_part
from infra.storage.recovery import (
    LOCK,
    drop_retired,
    log,
    make_folder,
    open_journal,
    recover,
)
from infra.storage.rows import Stamp, Stored, decode, stamped
from tasks.schemas import TABLES, Row

FOLD_RECORDS = 2_000
FOLD_SECONDS = 5.0
TARGET_BYTES = 128 * 2**20  # of a compacted part
AUTO_PARTS = 64  # small parts of one table before it is compacted in passing
AUTO_BYTES = 16 * 2**20  # target of compaction in passing: bounds what is written again
GRACE_SECONDS = 600.0  # a replaced part stays this long for readers that still list it


class CorpusWriter:
    """The one writer of a corpus. Opening recovers; `warnings` says what the disk had lost.

    Raises CorpusError: another writer, a folder that is no corpus, a disk that is full or
    read-only. Methods may be called from any thread.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        fold_records: int = FOLD_RECORDS,
        fold_seconds: float = FOLD_SECONDS,
        grace_s: float = GRACE_SECONDS,
    ) -> None:
        self.path = Path(path)
        self._fold_records, self._fold_seconds, self._grace_s = fold_records, fold_seconds, grace_s
        self._folding = threading.RLock()
        self._background = ThreadPoolExecutor(max_workers=1, thread_name_prefix="litecot-fold")
        self._fold: Future[None] | None = None
        self._folded_at = time.monotonic()
        with explained(self.path):
            make_folder(self.path)
            self._lock = WriterLock(self.path / LOCK)
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        import pyarrow.parquet  # noqa: F401  here, not at the first fold: that one delays requests

        with explained(self.path):
            self._journal, set_aside = open_journal(self.path)
            try:
                self._manifest, lost = recover(self.path, self._journal, grace_s=self._grace_s)
            except BaseException:
                self._journal.close()
                raise
        self.warnings = (*set_aside, *lost)
        for warning in self.warnings:
            log.warning("%s", warning)
        self._num_pending = self._journal.num_pending()
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Fold what is pending and let the next writer in."""
        try:
            self._background.shutdown()
            self.flush()
        finally:
            self._journal.close()
            self._lock.release()

    # --- records

    def finish(
        self,
        input_id: str,
        rows: Sequence[Row],
        *,
        stage_fingerprint: str,
        run_id: str,
        requests_done: Sequence[str] = (),
    ) -> int:
        """Store all rows of one finished record, durable on return; how many were new.

        A row whose id is stored already is left as it is. `requests_done` are the request keys
        whose payload nobody needs any more. Raises ValueError for no rows or a value that does
        not fit its column, CorpusError when the disk refuses.
        """
        if not rows:
            raise ValueError(f"record {input_id}: ends in no row; return a Rejection that says why")
        stamp = Stamp(run_id=run_id, stage_fingerprint=stage_fingerprint, input_id=input_id)
        tables: dict[str, list[Stored]] = {}
        for row in rows:
            tables.setdefault(row.table, []).append(stamped(row, stamp))
        with explained(self.path):
            num_new = self._journal.append(tables, requests_done=requests_done)
        self._num_pending += 1
        self._fold_if_due()
        return num_new

    def _fold_if_due(self) -> None:
        """Fold in the background, one at a time, so that the caller's event loop goes on."""
        if self._fold is not None:
            if not self._fold.done():
                return
            ended, self._fold = self._fold, None
            ended.result()  # raises what it met: a full disk, say
        late = time.monotonic() - self._folded_at >= self._fold_seconds
        if late or self._num_pending >= self._fold_records:
            self._fold = self._background.submit(self.flush)

    def flush(self) -> None:
        """Fold all finished records into parts; afterwards readers see them."""
        with self._folding, explained(self.path):
            self._folded_at = time.monotonic()
            while batch := self._journal.pending(after=self._manifest.folded):
                self._fold_batch(batch)
            self._num_pending = self._journal.num_pending()
            for table, live in self._manifest.parts.items():
                if sum(part.bytes < AUTO_BYTES // 2 for part in live) > AUTO_PARTS:
                    self.compact(table, target_bytes=AUTO_BYTES)

    def _fold_batch(self, batch: Sequence[tuple[int, str]]) -> None:
        last = batch[-1][0]
        tables: dict[str, list[Stored]] = {}
        for _, body in batch:
            for table, rows in decode(body).items():
                tables.setdefault(table, []).extend(rows)
        self._journal.make_durable()  # the manifest must never be ahead of the journal
        parts = {
            table: write_part(self.path / table, TABLES[table], rows, seq=last)
            for table, rows in tables.items()
        }
        self._adopt(self._manifest.with_parts(parts, folded=last))
        self._journal.forget(upto=last)

    def _adopt(self, manifest: Manifest) -> None:
        save_manifest(self.path, manifest)
        self._manifest = manifest

    # --- parts

    def parts(self) -> dict[str, list[str]]:
        """Table -> live files; `flush` first to have every finished record in them."""
        return part_files(self.path, self._manifest)

    def compact(self, table: str | None = None, *, target_bytes: int = TARGET_BYTES) -> int:
        """Merge neighbouring small parts of one table or all; returns how many parts went."""
        num_merged = 0
        with self._folding, explained(self.path):
            for name in [table] if table else list(self._manifest.parts):
                for group in _small_neighbours(self._manifest.parts.get(name, ()), target_bytes):
                    merged = merge_parts(self.path / name, TABLES[name], group)
                    self._adopt(self._manifest.with_merged(name, group, merged, at=time.time()))
                    num_merged += len(group)
            manifest = drop_retired(self.path, self._manifest, grace_s=self._grace_s)
            if manifest != self._manifest:
                self._adopt(manifest)
        return num_merged

    # --- requests

    def issued(self, key: str) -> None:
        """Remember, before sending it, that request `key` is paid for."""
        with explained(self.path):
            self._journal.issued(key)

    def completed(self, key: str, payload: str) -> None:
        """Remember the reply of request `key` until its record is finished."""
        with explained(self.path):
            self._journal.completed(key, payload)

    def lookup(self, key: str) -> str | None:
        """The reply of request `key`, if it came and its record is not finished yet."""
        with explained(self.path):
            return self._journal.lookup(key)

    def counts(self) -> tuple[int, int]:
        """Requests issued over the corpus' life, and of these the ones issued before."""
        with explained(self.path):
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
