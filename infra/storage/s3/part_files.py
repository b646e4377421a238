"""Parts on an object store as DuckDB and pyarrow read them: by ranges, a few of them remembered.

Invariant: nothing is written and nothing else than asked for is read; a part never changes under
its name, so what was read once is true for good. One that left its table's folder is read in
`_parts/`.

    connection.register_filesystem(PartFiles(bucket))
    connection.sql("select sum(rd) from 's3://bucket/maths/scores/part-....parquet'")
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from fsspec.spec import AbstractFileSystem

from infra.storage.errors import CorpusError
from infra.storage.s3.bucket import Bucket
from infra.storage.store import PARTS

T = TypeVar("T")

CACHE_BYTES = 128 * 2**20  # footers and small parts are read again with every connection
CACHED_BYTES = 2 * 2**20  # longest range kept
ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)


class PartFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """The parts below one bucket's prefix. `fault` is what reading met last, if anything."""

    protocol = "s3"
    cachable = False  # by fsspec, across corpora

    def __init__(self, bucket: Bucket) -> None:
        super().__init__()
        self._bucket = bucket
        self._sizes: dict[str, int] = {}
        self._ranges: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        self._cached_bytes = 0
        self._lock = threading.Lock()
        self.fault: CorpusError | None = None

    def learn(self, sizes: Mapping[str, int]) -> None:
        """Take over sizes by name, so that nobody has to ask for them."""
        self._sizes.update(sizes)

    def open(self, path: str, mode: str = "rb", **_: Any) -> PartFile:
        """Raises PermissionError for any mode but reading."""
        if mode != "rb":
            raise PermissionError(f"{path}: parts are only read")
        return PartFile(self, self._name(path))

    def size(self, path: str) -> int:
        name = self._name(path)
        if name not in self._sizes:
            with self._told():
                self._sizes[name] = either(self._bucket.size, name)
        return self._sizes[name]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": self.size(path), "type": "file"}

    def modified(self, path: str) -> datetime:
        return ALWAYS

    def glob(self, path: str, **_: Any) -> list[str]:
        """Parts are named one by one."""
        return [path]

    def read_range(self, name: str, start: int, length: int) -> bytes:
        key = (name, start, length)
        with self._lock:
            if key in self._ranges:
                self._ranges.move_to_end(key)
                return self._ranges[key]
        with self._told():
            content = either(lambda found: self._bucket.get_range(found, start, length), name)
        if length <= CACHED_BYTES:
            self._remember(key, content)
        return content

    def _remember(self, key: tuple[str, int, int], content: bytes) -> None:
        with self._lock:
            if key not in self._ranges:
                self._ranges[key] = content
                self._cached_bytes += len(content)
            while self._cached_bytes > CACHE_BYTES:
                self._cached_bytes -= len(self._ranges.popitem(last=False)[1])

    def _name(self, path: str) -> str:
        return path.removeprefix(f"{self._bucket.url}/")

    def _told(self) -> _Told:
        return _Told(self)


def either(ask: Callable[[str], T], name: str) -> T:
    """`ask` about a part by its name, or by that in `_parts/`; it may move while it is asked for.

    Raises FileNotFoundError.
    """
    for found in (name, f"{PARTS}/{name}"):
        try:
            return ask(found)
        except FileNotFoundError:
            continue
    return ask(name)


class _Told:
    """Keeps a fault for who asks DuckDB: it makes `don't know what type` of Python's errors."""

    def __init__(self, files: PartFiles) -> None:
        self._files = files

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FileNotFoundError):
            error = CorpusError(f"{error}: is gone; run the same command again")
        if isinstance(error, CorpusError):
            self._files.fault = error


class PartFile(io.RawIOBase):
    """One part, for one reader."""

    def __init__(self, files: PartFiles, name: str) -> None:
        self._files, self._name = files, name
        self._position = 0
        self._size = files.size(name)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Fewer bytes than asked for only at the end."""
        start = self._position
        left = self._size - start
        length = left if size is None or size < 0 else min(size, left)
        if length <= 0:
            return b""
        content = self._files.read_range(self._name, start, length)
        self._position = start + len(content)
        return content
