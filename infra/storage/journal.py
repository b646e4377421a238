"""The journal: what is finished but not folded into parts yet, and which requests were paid for.

Invariant: each call is one SQLite transaction, so a call that returned survives `kill -9`; `ids`
holds the id of every row ever stored, so the same row cannot enter twice. A finished record is one
entry, hence all its rows of one table end in one part and a lost part loses whole records only.

    finished(seq=128, body='{"rationales": [{...}], "rejections": [{...}]}')
    requests(key="c31b...", issued=2) · payloads(key="c31b...", payload=b"...")
"""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.storage.rows import Stored, decode, encode, row_number

TABLES = """
create table if not exists identity (name text not null);
create table if not exists finished (seq integer primary key autoincrement, body text not null);
create table if not exists ids (id integer primary key);
create table if not exists requests (key text primary key, issued integer not null) without rowid;
create table if not exists payloads (key text primary key, payload blob not null);
"""
FOLD_BYTES = 32 * 2**20  # of journal text folded at once: bounds the memory of a fold


class Journal:
    """A SQLite file in WAL mode. Raises sqlite3.Error; every method may be called by any thread."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("pragma journal_mode = wal")
        # NORMAL: no fsync a record. Outlives any process; a power cut may cost the last moments,
        # never what is folded, because a fold checkpoints first.
        self._db.execute("pragma synchronous = normal")
        self._db.executescript(TABLES)
        self.name = self._named()
        # Keys of `payloads`, so that the usual request, asked for the first time, needs no query.
        self._kept = {str(key) for (key,) in self._db.execute("select key from payloads")}

    def _named(self) -> str:
        with self.transaction():
            self._db.execute(
                "insert into identity select ? where not exists (select 1 from identity)",
                [uuid.uuid4().hex],
            )
        return str(self._value("select name from identity"))

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # --- finished records

    def append(
        self, tables: Mapping[str, Sequence[Stored]], *, requests_done: Iterable[str] = ()
    ) -> int:
        """Store one finished record; returns how many of its rows are new."""
        with self.transaction():
            fresh = self._unseen(tables)
            if fresh:
                self._db.execute("insert into finished (body) values (?)", [encode(fresh)])
            kept = self._kept.intersection(requests_done)
            self._db.executemany("delete from payloads where key = ?", [(key,) for key in kept])
        self._kept -= kept
        return sum(map(len, fresh.values()))

    def _unseen(self, tables: Mapping[str, Sequence[Stored]]) -> dict[str, list[Stored]]:
        unseen: dict[str, list[Stored]] = {}
        for table, rows in tables.items():
            for row in rows:
                number = row_number(table, row)
                if self._db.execute("insert or ignore into ids values (?)", [number]).rowcount:
                    unseen.setdefault(table, []).append(row)
        return unseen

    def pending(self, *, after: int) -> list[tuple[int, str]]:
        """The oldest entries past `after`, (seq, body), about FOLD_BYTES of them."""
        batch: list[tuple[int, str]] = []
        size = 0
        with self._lock:
            query = "select seq, body from finished where seq > ? order by seq"
            for seq, body in self._db.execute(query, [after]):
                batch.append((seq, body))
                size += len(body)
                if size >= FOLD_BYTES:
                    break
        return batch

    def num_pending(self) -> int:
        return self._count("select count(*) from finished")

    def forget(self, *, upto: int) -> None:
        with self.transaction():
            self._db.execute("delete from finished where seq <= ?", [upto])

    def make_durable(self) -> None:
        """Sync the log to disk: after this even a power cut loses nothing written so far."""
        with self._lock:
            self._db.execute("pragma wal_checkpoint(truncate)")

    # --- ids

    def last_seq(self) -> int:
        return self._count("select max(seq) from sqlite_sequence where name = 'finished'")

    def skip_to(self, seq: int) -> None:
        """Number new entries past `seq`."""
        with self.transaction():
            self._db.execute("delete from sqlite_sequence where name = 'finished'")
            self._db.execute("insert into sqlite_sequence values ('finished', ?)", [seq])

    def relearn(self, stored: Iterable[int]) -> None:
        """Replace all ids by `stored`, those in parts, and drop from entries what is there."""
        with self.transaction():
            self._db.execute("delete from ids")
            self._db.executemany("insert or ignore into ids values (?)", ((i,) for i in stored))
            for seq, body in self._db.execute("select seq, body from finished").fetchall():
                fresh = self._unseen(decode(body))
                if fresh:
                    self._db.execute(
                        "update finished set body = ? where seq = ?", [encode(fresh), seq]
                    )
                else:
                    self._db.execute("delete from finished where seq = ?", [seq])

    # --- requests

    def issued(self, key: str) -> None:
        with self._lock:  # one statement is a transaction of its own, or part of the open one
            self._db.execute(
                "insert into requests values (?, 1) on conflict do update set issued = issued + 1",
                [key],
            )

    def completed(self, key: str, payload: str) -> None:
        with self._lock:
            self._db.execute(
                "insert or replace into payloads values (?, ?)",
                [key, payload.encode(errors="surrogatepass")],
            )
            self._kept.add(key)

    def lookup(self, key: str) -> str | None:
        if key not in self._kept:
            return None
        payload = self._value("select payload from payloads where key = ?", [key])
        return payload.decode(errors="surrogatepass") if isinstance(payload, bytes) else None

    def counts(self) -> tuple[int, int]:
        """Requests issued in all, and of these the ones issued before (paid twice)."""
        total = self._count("select sum(issued) from requests")
        return total, total - self._count("select count(*) from requests")

    # --- SQLite

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All calls inside are one transaction: they are stored at its end, or none is."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("begin immediate")
            try:
                yield
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:  # a full disk has rolled back by itself
                    self._db.execute("rollback")
                raise

    def _value(self, query: str, values: Sequence[object] = ()) -> object:
        with self._lock:
            row = self._db.execute(query, list(values)).fetchone()
        return row[0] if row else None

    def _count(self, query: str) -> int:
        value = self._value(query)
        return value if isinstance(value, int) else 0
