"""A corpus in a folder of this machine.

Invariant: a file is whole under its name or absent: temporary file beside it, fsync, rename, fsync
of the folder. Other writers are kept out by the folder's flock (infra/storage/lock.py).

A part that may still be merged has a second name, a hard link in `_parts/`: ours read it there, so
that it can leave its table's folder under them. Where a disk has no hard links it is moved.

    LocalStore(Path("corpus")).replace("_manifest.json", b"{}")
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from infra.storage.checksums import checksum_of_file
from infra.storage.errors import explained
from infra.storage.lock import lock_holder
from infra.storage.names import inside
from infra.storage.store import LOCK, MANIFEST, PARTS, SCRATCH, FileState, Place

SETTLED_NS = 2_000_000_000  # two writes may share a tick of the clock; so far apart they do not
LARGE_BYTES = 64 * 2**20  # parts so long are not merged again: they need no second name
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


class LocalStore:
    """See Store; what the disk says comes as OSError, `explained` turns it into a line."""

    files = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    def where(self, name: str) -> str:
        return str(self.folder / name)

    def readable(self, name: str) -> str:
        return str(self._found(name))

    def _found(self, name: str) -> Path:
        """By its second name while that is the same file: a copied corpus has two of each."""
        shown, second = inside(self.folder, name), self._second(name)
        try:
            seen = os.stat(second)
        except (FileNotFoundError, NotADirectoryError):
            return shown
        try:
            return second if os.path.samestat(seen, os.stat(shown)) else shown
        except FileNotFoundError:
            return second

    def _second(self, name: str) -> Path:
        return inside(self.folder, f"{PARTS}/{name}")

    def explained(self) -> AbstractContextManager[None]:
        return explained(self.folder)

    def entries(self) -> list[str]:
        return sorted(os.listdir(self.folder)) if self.folder.exists() else []

    def read(self, name: str) -> bytes | None:
        try:
            return self._found(name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def states(self, names: Iterable[str]) -> Mapping[str, FileState]:
        found = {}
        for name in names:
            try:
                seen = os.stat(self._found(name))
            except FileNotFoundError:
                continue
            found[name] = FileState(size=seen.st_size, tag=_tag(seen))
        return found

    def listed(self) -> Mapping[str, FileState]:
        found = {}
        for folder, _, files in os.walk(self.folder):
            for file in files:
                path = Path(folder, file)
                with suppress(FileNotFoundError):  # a writer's, gone meanwhile
                    seen = os.lstat(path)
                    name = str(path.relative_to(self.folder))
                    found[name] = FileState(size=seen.st_size, tag=_tag(seen))
        return {name: state for name, state in found.items() if not self._is_second(name, found)}

    def _is_second(self, name: str, found: Collection[str]) -> bool:
        """Whether it is another name of a file that is listed already."""
        shown = name.removeprefix(f"{PARTS}/")
        return name != shown and shown in found and self._found(shown) == self.folder / name

    def writer(self) -> str | None:
        return lock_holder(self.folder / LOCK)

    def checksum(self, name: str) -> str:
        return checksum_of_file(self._found(name))

    def copy_out(self, name: str, path: Path) -> None:
        shutil.copyfile(self._found(name), path)

    def open(self, name: str) -> str:
        return self.readable(name)

    def claim(self, journal: str) -> None: ...

    def assert_claimed(self) -> None: ...

    def release(self) -> None: ...

    def now(self) -> float:
        return time.time()

    def replace(self, name: str, content: bytes) -> None:
        self.scratch(name).write_bytes(content)
        self.publish(name)

    def scratch(self, name: str) -> Path:
        path = inside(self.folder, f"{SCRATCH}/{name}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def publish(self, name: str, *, apart: bool = False) -> str:
        path = self._second(name) if apart else inside(self.folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.scratch(name)
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
        if not apart and "/part-" in name:
            self._name_twice(name)
        return ""  # a copy on another machine has other times

    def delete(self, name: str) -> None:
        inside(self.folder, name).unlink(missing_ok=True)
        self._second(name).unlink(missing_ok=True)

    def set_aside(self, name: str, to: str) -> None:
        path = inside(self.folder, to)
        path.parent.mkdir(exist_ok=True)
        os.replace(self._found(name), path)
        self.delete(name)

    # --- what is in a table's folder, and what is only in _parts/

    def exchange(self, gone: Sequence[str], come: str) -> str:
        for name in gone:
            self._keep(name)
        for name in gone:
            inside(self.folder, name).unlink(missing_ok=True)
        self._show(come)
        _sync(inside(self.folder, come).parent)
        return ""

    def settle(
        self, tables: Collection[str], *, live: Collection[str], kept: Collection[str]
    ) -> list[str]:
        shown, second = self._parts_below(tables, ""), self._parts_below(tables, f"{PARTS}/")
        left = sorted((shown | second) - {*live, *kept})
        for name in left:
            self.delete(name)
        for name in shown & {*kept}:
            self._keep(name)
            inside(self.folder, name).unlink(missing_ok=True)
        for name in (second - shown) & {*live}:
            self._show(name)
        for name in shown & {*live}:
            self._name_twice(name)
        shutil.rmtree(inside(self.folder, SCRATCH), ignore_errors=True)
        self.delete(f"{MANIFEST}.tmp")
        return [self.where(name) for name in left]

    def _parts_below(self, tables: Collection[str], folder: str) -> set[str]:
        return {
            f"{table}/{path.name}"
            for table in tables
            for path in inside(self.folder, f"{folder}{table}").glob("part-*")
        }

    def _name_twice(self, name: str) -> None:
        """Give a live part its second name if it may be merged, and take it where it may not."""
        shown, second = inside(self.folder, name), self._second(name)
        if os.stat(shown).st_size >= LARGE_BYTES:
            second.unlink(missing_ok=True)
        elif not second.exists() or not os.path.samefile(shown, second):
            second.unlink(missing_ok=True)
            _link(shown, second)

    def _keep(self, name: str) -> None:
        """Have a part that leaves its table's folder in _parts/."""
        shown, second = inside(self.folder, name), self._second(name)
        if shown.exists() and not second.exists() and not _link(shown, second):
            os.replace(shown, second)

    def _show(self, name: str) -> None:
        shown, second = inside(self.folder, name), self._second(name)
        if not shown.exists() and not _link(second, shown):
            os.replace(second, shown)

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


def _link(path: Path, to: Path) -> bool:
    """Whether this disk could: not all have hard links."""
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, to)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return False
    return True


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
