"""A corpus on S3-compatible storage: parts and manifest in the bucket, the journal on this machine.

Invariants: an object appears whole or not at all (one PUT); the manifest is replaced only where it
still is what this writer last saw (If-Match), so a writer that another one took for dead changes
nothing more; nothing a newer writer uploaded is ever deleted. Where this machine is lost, so is
what it finished in the last seconds and had not uploaded (it is made again), and the replies it had
paid for; no row in a part is.

    s3://bucket/maths/_manifest.json, _lock, problems/part-....parquet, weights/<model_id>/...
    s3://bucket/maths/_parts/problems/part-....parquet    replaced, or about to replace others
    <journals>/bucket-3fa2c19b04d1/_journal/journal.sqlite, _lock, weights/<model_id>/...
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from io import RawIOBase
from pathlib import Path
from typing import Protocol

from infra.storage.errors import CorpusError, StoreUnavailableError, explained
from infra.storage.lock import lock_holder
from infra.storage.names import inside
from infra.storage.s3.bucket import Bucket, Found, Listed, ReplacedError
from infra.storage.s3.claim import EXPIRES_S, Claim, claimant, taken_over
from infra.storage.s3.part_files import PartFiles, either
from infra.storage.store import LOCK, PARTS, SCRATCH, FileState, Place
from tasks.schemas import content_id


class S3Store:
    """See Store."""

    def __init__(self, url: str, *, journals: Path, expires_s: float = EXPIRES_S) -> None:
        self._bucket = Bucket(url)
        digest = content_id([self._bucket.endpoint, self._bucket.url])[:12]
        self.folder = journals.resolve() / f"{self._bucket.name}-{digest}"
        self.files = PartFiles(self._bucket)
        self._expires_s = expires_s
        self._claim: Claim | None = None
        self._etags: dict[str, str | None] = {}  # name -> what we last saw of it
        self._began_s = 0.0  # by the server's clock, when this writer showed itself
        self._server_ahead_s = 0.0  # of this process's steady clock

    def __str__(self) -> str:
        return self._bucket.url

    def where(self, name: str) -> str:
        return f"{self._bucket.url}/{name}"

    def readable(self, name: str) -> str:
        return self.where(name)  # `files` looks in _parts/ too

    def explained(self) -> AbstractContextManager[None]:
        return explained(self.folder)

    # --- reading

    def entries(self) -> list[str]:
        return self._bucket.entries()

    def read(self, name: str) -> bytes | None:
        found = self._look(name)
        return found.content if found else None

    def _look(self, name: str) -> Found | None:
        found = self._bucket.get(name)
        self._etags[name] = found.etag if found else None
        return found

    def states(self, names: Iterable[str]) -> Mapping[str, FileState]:
        found = dict(self.listed())
        for name in names:
            if name not in found and (second := found.get(f"{PARTS}/{name}")):
                found[name] = second
        self.files.learn({name: state.size for name, state in found.items()})
        return found

    def listed(self) -> Mapping[str, FileState]:
        return {
            item.name: FileState(size=item.size, tag=item.etag) for item in self._bucket.listed()
        }

    def writer(self) -> str | None:
        found = self._bucket.get(LOCK)
        claimed = claimant(found, self._expires_s) if found else None
        return lock_holder(self.folder / LOCK) or claimed

    def copy_out(self, name: str, path: Path) -> None:
        either(lambda found: self._bucket.fetch_file(found, path), name)

    def checksum(self, name: str) -> str:
        return either(self._bucket.checksum, name)

    def open(self, name: str) -> RawIOBase:
        return self.files.open(self.where(name))

    # --- writing

    def claim(self, journal: str) -> None:
        self._claim = Claim(
            self._bucket, journal=journal, folder=self.folder, expires_s=self._expires_s
        )
        seen = self._bucket.get(LOCK)
        if seen is None:
            raise CorpusError(taken_over(self._bucket.url))
        self._began_s = seen.server_s - seen.age_s
        self._server_ahead_s = seen.server_s - time.monotonic()
        shutil.rmtree(self.folder / SCRATCH, ignore_errors=True)

    def assert_claimed(self) -> None:
        if self._claim:
            self._claim.assert_held()

    def release(self) -> None:
        if self._claim:
            self._claim.release()
        self._claim = None

    def now(self) -> float:
        return time.monotonic() + self._server_ahead_s

    def replace(self, name: str, content: bytes) -> None:
        self.assert_claimed()
        try:
            self._etags[name] = self._bucket.put_if(name, content, etag=self._etags.get(name))
        except ReplacedError:
            raise CorpusError(taken_over(self._bucket.url)) from None

    def scratch(self, name: str) -> Path:
        path = inside(self.folder / SCRATCH, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def publish(self, name: str, *, apart: bool = False) -> str:
        path, name = self.scratch(name), f"{PARTS}/{name}" if apart else name
        try:
            self._bucket.put_file(name, path)
        finally:
            path.unlink()  # made again from the journal, where it did not go up
        return self._tag(name)

    def _tag(self, name: str) -> str:
        try:
            return self._bucket.etag(name)
        except StoreUnavailableError:
            return ""  # it is read in full the next time

    def delete(self, name: str) -> None:
        self._bucket.delete_together([name, f"{PARTS}/{name}"])

    def set_aside(self, name: str, to: str) -> None:
        either(lambda found: self._bucket.move(found, to), name)
        self.delete(name)

    # --- what is in a table's folder, and what is only in _parts/

    def exchange(self, gone: Sequence[str], come: str) -> str:
        self.assert_claimed()
        for name in gone:
            with suppress(FileNotFoundError):  # the reply to an earlier try got lost
                self._bucket.copy(name, f"{PARTS}/{name}")
        self._bucket.delete_together(gone)
        return self._show(come)

    def _show(self, name: str) -> str:
        with suppress(FileNotFoundError):
            self._bucket.copy(f"{PARTS}/{name}", name)
        tag = self._tag(name)
        self._bucket.delete(f"{PARTS}/{name}")
        return tag

    def settle(
        self, tables: Collection[str], *, live: Collection[str], kept: Collection[str]
    ) -> list[str]:
        items = [item for item in self._bucket.listed() if _table_of(item.name) in tables]
        found = {item.name for item in items}
        for name in found & {*kept}:
            self._bucket.move(name, f"{PARTS}/{name}")
        for name in [name for name in live if name not in found and f"{PARTS}/{name}" in found]:
            self._show(name)
        # What came after our claim is a newer writer's, should we be the one taken for dead.
        old = [item.name for item in items if item.modified_s < self._began_s]
        names = {*live, *kept, *(f"{PARTS}/{name}" for name in kept)}
        left = [name for name in old if name not in names]
        self._bucket.delete_together(left)
        return [self.where(name) for name in left]

    # --- folders: trained weights

    def keep(self, name: str) -> None:
        for path in sorted(inside(self.folder, name).rglob("*")):
            if path.is_file():
                file = str(path.relative_to(self.folder))
                self._bucket.put_file(file, inside(self.folder, file))

    def fetch(self, name: str) -> bool:
        folder = inside(self.folder, name, of=self)
        if folder.is_dir():
            return True
        with self.explained():
            return download(self._bucket, name, folder)

    def place(self, name: str) -> Place:
        return self._bucket.place(name)

    def remove(self, name: str) -> None:
        for item in list(self._bucket.listed(f"{name}/")):
            self._bucket.delete(item.name)
        shutil.rmtree(inside(self.folder, name), ignore_errors=True)


def _table_of(name: str) -> str:
    """Of a part's name, in its table's folder or in _parts/; of anything else, something else."""
    return name.removeprefix(f"{PARTS}/").partition("/part-")[0]


class Downloads(Protocol):
    """Of a Bucket, what `download` asks."""

    url: str

    def listed(self, folder: str = "") -> Iterator[Listed]: ...

    def fetch_file(self, name: str, path: Path) -> None: ...


def download(bucket: Downloads, name: str, folder: Path) -> bool:
    """Have the bucket's folder `name` in `folder`, which appears whole; False where it is empty.

    Raises UnsafeNameError before anything is written where a key names a place outside of it.
    """
    # A console makes an empty object for a folder: its key ends with a slash.
    keys = [item.name for item in bucket.listed(f"{name}/") if not item.name.endswith("/")]
    incoming = folder.with_name(f".{folder.name}.incoming")
    if incoming.is_symlink():
        incoming.unlink()
    shutil.rmtree(incoming, ignore_errors=True)
    files = {key: inside(incoming, key.removeprefix(f"{name}/"), of=bucket.url) for key in keys}
    for key, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        bucket.fetch_file(key, path)
    if files:
        incoming.replace(folder)
    return bool(files)
