"""One writer a corpus on a machine: an flock, which the kernel drops when the process dies.

Invariants: two live processes never hold the lock of one corpus; a killed writer leaves none. Notes
outlive their holder: whoever finds one under the lock knows that its writer is dead. So does what
runs tell of themselves (`tell`), by run: of the holder's it is how far they are, of others' where
they were when they were killed.
Sample content of the file: {"pid": 4711, "host": "node3", "since": "2026-01-02T03:04:05+00:00",
"notes": [{"flow_run": "0f6c...", "pid": 4711, ...}], "runs": {"a90b...": {"recipe": "nano",
"pid": 4711, "stages": {...}, ...}}}
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.storage.errors import CorpusBusyError

MAX_BYTES = 64 * 1024  # read of the file
MAX_NOTES = 50  # the latest are kept
MAX_RUNS = 20
Note = dict[str, Any]

_held: weakref.WeakSet[WriterLock] = weakref.WeakSet()


class WriterLock:
    """Held from construction to `release`; `of` is the corpus' name.

    Raises CorpusBusyError where another process of this machine holds it.
    """

    def __init__(self, path: Path, *, of: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not _locked(self._fd):
            holder = os.pread(self._fd, MAX_BYTES, 0)
            self.close()
            raise CorpusBusyError(
                f"{of}: is being written by {_who(holder)}; wait for it or stop it, or pass "
                "another --corpus"
            )
        since = datetime.now(UTC).isoformat(timespec="seconds")
        self.holder: Note = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
        self._telling = threading.Lock()
        left = os.pread(self._fd, MAX_BYTES, 0)
        self._runs = _runs(left)
        self.keep(_notes(left))
        _held.add(self)

    @property
    def notes(self) -> tuple[Note, ...]:
        """What holders wrote and nobody took out: of the dead, but for what this one wrote."""
        return self._notes

    def keep(self, notes: Sequence[Note]) -> None:
        """Write these notes instead of those that are there."""
        with self._telling:
            self._notes = tuple(notes)[-MAX_NOTES:]
            self._write()

    def tell(self, run_id: str, told: Note | None) -> None:
        """How far a run is, instead of what was told of it before; None: it has ended."""
        with self._telling:
            self._runs.pop(run_id, None)
            if told is not None:
                self._runs[run_id] = {**self.holder, **told}
                self._runs = dict(list(self._runs.items())[-MAX_RUNS:])
            self._write()

    def _write(self) -> None:
        if self._fd < 0:
            return
        content = {**self.holder, "notes": self._notes, "runs": self._runs}
        text = json.dumps(content).encode()
        os.pwrite(self._fd, text, 0)
        os.ftruncate(self._fd, len(text))  # killed before it: what is too much is not read

    def release(self) -> None:
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            self.close()

    def close(self) -> None:
        """Drop this process's handle only: what a forked child must do to leave the lock alone."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _content(file: bytes) -> Any:
    """The JSON value the file begins with. Raises ValueError."""
    return json.JSONDecoder().raw_decode(file.decode())[0]


def _notes(file: bytes) -> list[Note]:
    """Those of the file's that are notes; none where it is empty or torn."""
    try:
        notes = _content(file)["notes"]
        return [note for note in notes if isinstance(note, dict)]
    except (ValueError, KeyError, TypeError):
        return []


def _runs(file: bytes) -> dict[str, Note]:
    """What runs told of themselves; nothing where the file is empty, torn or older."""
    try:
        runs = _content(file).get("runs", {})
        return {str(name): told for name, told in runs.items() if isinstance(told, dict)}
    except (ValueError, AttributeError):
        return {}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Who writes, in words and as a note; None: nobody of this machine. `runs`: by run, what is
    told of those that are running and of those that were killed, whose pid is not the holder's."""

    holder: Note | None
    runs: dict[str, Note]


def standing(path: Path) -> Standing:
    """Nothing is written or kept locked."""
    is_held = lock_holder(path) is not None
    try:
        file = path.read_bytes()[:MAX_BYTES]
    except OSError:
        return Standing(holder=None, runs={})
    with suppress(ValueError):
        told = _content(file)
        if isinstance(told, dict):
            holder = {key: told.get(key) for key in ("pid", "host", "since")}
            return Standing(holder=holder if is_held else None, runs=_runs(file))
    return Standing(holder={} if is_held else None, runs={})


def _locked(fd: int) -> bool:
    """Lock it for this process, unless another holds it: one that only asks is gone in a moment."""
    for wait_s in (0.0, 0.05):
        time.sleep(wait_s)
        with suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def lock_holder(path: Path) -> str | None:
    """Who holds the lock, in words; None: nobody does. Nothing is written or kept locked."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # no lock yet, or not ours to read
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _who(os.pread(fd, MAX_BYTES, 0))
    finally:
        os.close(fd)


def _who(holder: bytes) -> str:
    try:
        told = _content(holder)
        return f"process {told['pid']} on {told['host']}, since {told['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


def _forget_in_child() -> None:
    for lock in list(_held):
        lock.close()


# A forked worker shares the open file, and with it the lock: it would outlive a killed writer.
os.register_at_fork(after_in_child=_forget_in_child)
