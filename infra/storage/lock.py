"""One writer a corpus on a machine: an flock, which the kernel drops when the process dies.

Invariant: two live processes never hold the lock of one corpus; a killed writer leaves none.
Sample content of the file: {"pid": 4711, "host": "node3", "since": "2026-01-02T03:04:05+00:00"}
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import weakref
from datetime import UTC, datetime
from pathlib import Path

from infra.storage.errors import CorpusError

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
            holder = os.pread(self._fd, 4096, 0)
            self.close()
            raise CorpusError(f"{of}: {_refusal(holder)}") from None
        self._sign()
        _held.add(self)

    def _sign(self) -> None:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, json.dumps(holder).encode(), 0)

    def release(self) -> None:
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            self.close()

    def close(self) -> None:
        """Drop this process's handle only: what a forked child must do to leave the lock alone."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _refusal(holder: bytes) -> str:
    try:
        told = json.loads(holder)
        who = f"process {told['pid']} on {told['host']}, since {told['since']}"
    except (ValueError, KeyError, TypeError):
        who = "another process"
    return f"is being written by {who}; wait for it or stop it, or pass another --corpus"


def _forget_in_child() -> None:
    for lock in list(_held):
        lock.close()


# A forked worker shares the open file, and with it the lock: it would outlive a killed writer.
os.register_at_fork(after_in_child=_forget_in_child)
