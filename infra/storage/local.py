"""A corpus in a folder of this machine.

Invariant: a file is whole under its name or absent: temporary file beside it, fsync, rename, fsync
of the folder. Other writers are kept out by the folder's flock (infra/storage/lock.py).

    LocalStore(Path("corpus")).replace("_manifest.json", b"{}")
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from infra.storage.checksums import checksum_of_file
from infra.storage.errors import explained
from infra.storage.names import inside
from infra.storage.store import MANIFEST, FileState, Place

SETTLED_NS = 2_000_000_000  # two writes may share a tick of the clock; so far apart they do not


class LocalStore:
    """See Store; what the disk says comes as OSError, `explained` turns it into a line."""

    files = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    def where(self, name: str) -> str:
        return str(self.folder / name)

    def explained(self) -> AbstractContextManager[None]:
        return explained(self.folder)

    def entries(self) -> list[str]:
        return sorted(os.listdir(self.folder)) if self.folder.exists() else []

    def read(self, name: str) -> bytes | None:
        try:
            return inside(self.folder, name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def states(self, names: Iterable[str]) -> Mapping[str, FileState]:
        found = {}
        for name in names:
            try:
                seen = os.stat(inside(self.folder, name))
            except FileNotFoundError:
                continue
            found[name] = FileState(size=seen.st_size, tag=_tag(seen))
        return found

    def checksum(self, name: str) -> str:
        return checksum_of_file(inside(self.folder, name))

    def open(self, name: str) -> str:
        return str(inside(self.folder, name))

    def claim(self, journal: str) -> None: ...

    def assert_claimed(self) -> None: ...

    def release(self) -> None: ...

    def now(self) -> float:
        return time.time()

    def replace(self, name: str, content: bytes) -> None:
        self.scratch(name).write_bytes(content)
        self.publish(name)

    def scratch(self, name: str) -> Path:
        path = inside(self.folder, f"{name}.tmp")
        path.parent.mkdir(exist_ok=True)
        return path

    def publish(self, name: str) -> str:
        path = inside(self.folder, name)
        temporary = self.scratch(name)
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
        return ""  # a copy on another machine has other times

    def delete(self, name: str) -> None:
        inside(self.folder, name).unlink(missing_ok=True)

    def set_aside(self, name: str, to: str) -> None:
        path = inside(self.folder, to)
        path.parent.mkdir(exist_ok=True)
        os.replace(inside(self.folder, name), path)

    def remove_leftovers(self, tables: Collection[str], live: Collection[str]) -> list[str]:
        parts = [path for table in tables for path in inside(self.folder, table).glob("part-*")]
        left = [path for path in parts if f"{path.parent.name}/{path.name}" not in live]
        for path in left:
            path.unlink()
        self.delete(f"{MANIFEST}.tmp")
        return [str(path) for path in left]

    def keep(self, name: str) -> None: ...

    def fetch(self, name: str) -> bool:
        return inside(self.folder, name).is_dir()

    def place(self, name: str) -> Place:
        return Place(path=str(inside(self.folder.resolve(), name)))

    def remove(self, name: str) -> None:
        folder = inside(self.folder, name)
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # something else is in it
            folder.parent.rmdir()


def _tag(seen: os.stat_result) -> str:
    """Inode and times; `utime` can set back the first of them, nothing the second."""
    age_ns = time.time_ns() - max(seen.st_mtime_ns, seen.st_ctime_ns)
    if age_ns < SETTLED_NS:
        return ""
    return f"{seen.st_ino}-{seen.st_mtime_ns}-{seen.st_ctime_ns}"


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
