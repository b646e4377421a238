"""What can be wrong with a corpus, said in one line: the thing, then the remedy.

Invariant: no OSError or sqlite3.Error leaves infra.storage; a person reads `CorpusError`.
Sample: "/data/corpus: no space left on its disk; free some and run the same command again".
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import UsageError

AGAIN = "run the same command again; nothing finished is lost"
FULL = f"no space left on its disk; free some, then {AGAIN}"
PERMIT = "change its permissions or pass another --corpus"


class CorpusError(UsageError):
    """A corpus that cannot be used as asked: one line naming the thing and the remedy."""


class CorpusBusyError(CorpusError):
    """Another process writes it: it will end."""


class DiskFullError(CorpusError):
    """No space left: nothing is wrong with the corpus or the command."""

    exit_code = 1


class StoreUnavailableError(CorpusError):
    """An object store that does not answer, or not now: it may pass."""

    exit_code = 1


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the disk or SQLite says about `path` into a CorpusError."""
    try:
        yield
    except sqlite3.Error as error:
        raise _named(f"{path}: {_sqlite_reason(error)}") from error
    except OSError as error:
        raise _named(f"{path}: {_disk_reason(error)}") from error


def _named(message: str) -> CorpusError:
    return DiskFullError(message) if FULL in message else CorpusError(message)


def _disk_reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FULL
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"cannot be read or written by this user; {PERMIT}"
    if error.errno == errno.EROFS:
        return f"cannot be written by this user; {PERMIT}"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return "is in the way: a file where a folder is needed; move it or pass another --corpus"
    return f"{error.strerror or error}; repair the disk or the folder, then {AGAIN}"


def _sqlite_reason(error: sqlite3.Error) -> str:
    said = str(error)
    if "full" in said:
        return FULL
    if "readonly" in said or "unable to open" in said:
        return f"cannot be written by this user; {PERMIT}"
    return f"journal: {said}; check the disk, then {AGAIN}"
