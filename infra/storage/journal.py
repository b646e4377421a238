"""The journal: what is finished but not folded into parts yet, and which requests were paid for.

Invariant: each call is one SQLite transaction, so a call that returned survives `kill -9`; `ids`
holds the id of every row ever stored, so the same row cannot enter twice. A finished record is one
entry, hence all its rows of one table end in one part and a lost part loses whole records only.
SQLite sums no page: entries and payloads carry a CRC-32 of their own, and a journal that was closed
has a seal beside it, the checksum of the whole file, until it is opened again.

    finished(seq=128, body='{"rationales": [{...}], "rejections": [{...}]}', shard=3, crc=...)
    requests(key="c31b...", issued=2) · payloads(key="c31b...", payload=b"...")
"""

from __future__ import annotations

import sqlite3
import threading
import uuid
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from infra.storage.checksums import checksum_of_file
from infra.storage.rows import Stored, decode, encode, row_number

TABLES = """
create table if not exists identity (name text not null);
create table if not exists finished
    (seq integer primary key autoincrement, body text not null, shard integer, crc integer);
create table if not exists ids (id integer primary key);
create table if not exists requests (key text primary key, issued integer not null) without rowid;
create table if not exists payloads (key text primary key, payload blob not null, crc integer);
"""
# Of journals of an earlier version: null there, and not checked.
ADDED = {"finished": {"shard": "integer", "crc": "integer"}, "payloads": {"crc": "integer"}}
SEAL = ".checksum"  # behind the journal's name
OTHER_BYTES = "holds other bytes than when it was closed"
FOLD_BYTES = 32 * 2**20  # of journal text folded at once: bounds the memory of a fold


class Entry(NamedTuple):
    """A finished record: its rows (infra/storage/rows.py) and the shard it belongs to, if any."""

    seq: int
    body: str
    shard: int | None


class Journal:
    """A SQLite file in WAL mode. Raises sqlite3.Error; every method may be called by any thread.

    Opening breaks the seal. Raises sqlite3.DatabaseError where SQLite finds damage.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._path = path
        is_sound = _is_sealed(path) and seal_fault(path) is None
        _seal(path).unlink(missing_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        if not is_sound:
            _check_structure(self._db)
        self._db.execute("pragma journal_mode = wal")
        # NORMAL: no fsync a record. Outlives any process; a power cut may cost the last moments,
        # never what is folded, because a fold checkpoints first.
        self._db.execute("pragma synchronous = normal")
        self._db.executescript(TABLES)
        self._add_columns()
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

    def _add_columns(self) -> None:
        for table, added in ADDED.items():
            query = f"select name from pragma_table_info('{table}')"
            there = {name for (name,) in self._db.execute(query)}
            for name in added.keys() - there:
                self._db.execute(f"alter table {table} add column {name} {added[name]}")

    def close(self) -> None:
        with self._lock:
            self._db.close()
            with suppress(OSError):  # a full disk: it is looked through when it is opened
                if self._path.exists() and not _has_log(self._path):
                    _seal(self._path).write_text(checksum_of_file(self._path))

    # --- finished records

    def append(
        self,
        tables: Mapping[str, Sequence[Stored]],
        *,
        shard: int | None = None,
        requests_done: Iterable[str] = (),
    ) -> int:
        """Store one finished record; returns how many of its rows are new."""
        with self.transaction():
            fresh = self._unseen(tables)
            if fresh:
                body = encode(fresh)
                self._db.execute(
                    "insert into finished (body, shard, crc) values (?, ?, ?)",
                    [body, shard, _crc(body.encode())],
                )
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

    def pending(self, *, after: int) -> list[Entry]:
        """The oldest entries past `after`, about FOLD_BYTES of them."""
        batch: list[Entry] = []
        size = 0
        with self._lock:
            query = "select seq, body, shard from finished where seq > ? order by seq"
            for entry in map(Entry._make, self._db.execute(query, [after])):
                batch.append(entry)
                size += len(entry.body)
                if size >= FOLD_BYTES:
                    break
        return batch

    def drop_rotten(self) -> int:
        """Drop entries and payloads that are not what was written; how many. `relearn` next."""
        with self.transaction():
            entries = _rotten(self._db, "finished", "seq", "body")
            self._db.executemany("delete from finished where seq = ?", entries)
            payloads = _rotten(self._db, "payloads", "key", "payload")
            self._db.executemany("delete from payloads where key = ?", payloads)
        self._kept -= {str(key) for (key,) in payloads}
        return len(entries) + len(payloads)

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
                    body = encode(fresh)
                    self._db.execute(
                        "update finished set body = ?, crc = ? where seq = ?",
                        [body, _crc(body.encode()), seq],
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
            content = payload.encode(errors="surrogatepass")
            self._db.execute(
                "insert or replace into payloads (key, payload, crc) values (?, ?, ?)",
                [key, content, _crc(content)],
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


# --- rot


def seal_fault(path: Path) -> str | None:
    """What is wrong with a closed journal by its seal; None too where it was not closed."""
    try:
        seal = _seal(path).read_text(errors="replace")
        if _has_log(path) or checksum_of_file(path) == seal:
            return None
    except FileNotFoundError:
        return None
    return OTHER_BYTES


def journal_fault(path: Path) -> str | None:
    """What is wrong with a journal, whether or not somebody has it open; nothing is changed."""
    if not path.exists():
        return None
    if _is_sealed(path):
        return seal_fault(path)
    try:
        with closing(_read_only(path)) as found:
            _check_structure(found)
            columns = {name for (name,) in found.execute(_COLUMNS)}
            num_rotten = len(_rotten(found, "finished", "seq", "body")) if "crc" in columns else 0
    except sqlite3.Error as error:
        return f"cannot be read ({error})"
    return f"{num_rotten} of its records hold other bytes than were written" if num_rotten else None


class Told(NamedTuple):
    """What a journal says of the corpus. `ids`: of all rows stored, `waiting`: those in no part."""

    name: str
    last_seq: int
    num_waiting: int  # finished records that are not folded
    num_replies: int  # paid for, of records that are not finished
    ids: array[int]
    waiting: array[int]


def read_journal(path: Path, *, folded: int = 0) -> Told | None:
    """Without changing it; None where there is none. `folded`: records up to it are in parts.

    Raises sqlite3.Error where it is damaged (`journal_fault` says so in words).
    """
    if not path.exists():
        return None
    with closing(_read_only(path)) as found:
        names = found.execute("select name from identity").fetchone() or [""]
        last = found.execute("select max(seq) from sqlite_sequence where name = 'finished'")
        bodies = found.execute("select body from finished where seq > ?", [folded]).fetchall()
        replies = found.execute("select count(*) from payloads").fetchone()
        waiting = {
            row_number(table, row)
            for (body,) in bodies
            for table, rows in decode(body).items()
            for row in rows
        }
        return Told(
            name=str(names[0]),
            last_seq=last.fetchone()[0] or 0,
            num_waiting=len(bodies),
            num_replies=replies[0],
            ids=array("q", (number for (number,) in found.execute("select id from ids"))),
            waiting=array("q", waiting),
        )


def _read_only(path: Path) -> sqlite3.Connection:
    # Without a log there is nothing beside the file, which may be on a read-only disk.
    how = "mode=ro" if _has_log(path) else "mode=ro&immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)


_COLUMNS = "select name from pragma_table_info('finished')"


def _rotten(
    found: sqlite3.Connection, table: str, key: str, content: str
) -> list[tuple[int | str]]:
    query = f"select {key}, cast({content} as blob), crc from {table} where crc is not null"
    return [(one,) for one, body, crc in found.execute(query) if _crc(body or b"") != crc]


def _check_structure(found: sqlite3.Connection) -> None:
    for (said,) in found.execute("pragma quick_check(1)"):
        if said != "ok":
            raise sqlite3.DatabaseError(str(said).splitlines()[-1])


def _crc(content: bytes) -> int:
    return zlib.crc32(content)


def _seal(path: Path) -> Path:
    return path.with_name(path.name + SEAL)


def _has_log(path: Path) -> bool:
    """Whether SQLite has what is not in the file itself yet."""
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _is_sealed(path: Path) -> bool:
    return _seal(path).exists() and not _has_log(path)
