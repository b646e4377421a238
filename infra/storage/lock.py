"""One writer a corpus on a machine: an flock, which the kernel drops when the process dies.

Invariants: two live processes never hold the lock of one corpus; a killed writer leaves none. Notes
outlive their holder: whoever finds one under the lock knows that its writer is dead.
Sample content of the file: {"pid": 4711, "host": "node3", "since": "2026-01-02T03:04:05+00:00",
"notes": [{"flow_run": "0f6c...", "pid": 4711, ...}]}
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import weakref
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.storage.errors import CorpusError

MAX_BYTES = 64 * 1024  # read of the file
MAX_NOTES = 50  # the latest are kept
Note = dict[str, Any]

_held: weakref.WeakSet[WriterLock] = weakref.WeakSet()


class WriterLock:
    """Held from construction to `release`; `of` is the corpus' name.

    Raises CorpusError where another process of this machine holds it.
    """

    def __init__(self, path: Path, *, of: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, MAX_BYTES, 0)
            self.close()
            raise CorpusError(f"{of}: {_refusal(holder)}") from None
        since = datetime.now(UTC).isoformat(timespec="seconds")
        self.holder: Note = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
        self.keep(_notes(os.pread(self._fd, MAX_BYTES, 0)))
        _held.add(self)

    @property
    def notes(self) -> tuple[Note, ...]:
        """What holders wrote and nobody took out: of the dead, but for what this one wrote."""
        return self._notes

    def keep(self, notes: Sequence[Note]) -> None:
        """Write these notes instead of those that are there."""
        self._notes = tuple(notes)[-MAX_NOTES:]
        text = json.dumps({**self.holder, "notes": self._notes}).encode()
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


def _refusal(holder: bytes) -> str:
    try:
        told = _content(holder)
        who = f"process {told['pid']} on {told['host']}, since {told['since']}"
    except (ValueError, KeyError, TypeError):
        who = "another process"
    return f"is being written by {who}; wait for it or stop it, or pass another --corpus"


def _forget_in_child() -> None:
    for lock in list(_held):
        lock.close()


# A forked worker shares the open file, and with it the lock: it would outlive a killed writer.
os.register_at_fork(after_in_child=_forget_in_child)
