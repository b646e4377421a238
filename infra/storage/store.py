"""What a corpus is kept in: a folder, or a prefix of a bucket. The few things asked of either.

Invariant: a file appears under its name whole or not at all; the manifest is replaced in one step,
and only by the writer that read it last; what two machines may both write has a claim on it.

    open_store("corpora/maths")         ->  LocalStore
    open_store("s3://bucket/maths")     ->  S3Store, its journal in <journals>/bucket-3fa2c19b04d1
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import Any, Protocol

MANIFEST = "_manifest.json"
LOCK = "_lock"
JOURNAL = "_journal"
QUARANTINE = "_quarantine"
OURS = {JOURNAL, LOCK, QUARANTINE, f"{MANIFEST}.tmp"}


@dataclass(frozen=True, kw_only=True)
class FileState:
    """A file as its store has it, without reading it.

    `tag` is another one once the file was written to; empty where that cannot be told.
    """

    size: int  # bytes
    tag: str


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder as Arrow's filesystems name it, for programs that write it themselves.

    `s3`: arguments of `pyarrow.fs.S3FileSystem`, keys among them; None: a folder of this machine.
    """

    path: str
    s3: Mapping[str, Any] | None = field(default=None, repr=False)


class Store(Protocol):
    """One corpus' files by name, e.g. "problems/part-....parquet". Faults are CorpusErrors."""

    folder: Path  # on this machine: journal, weights; of a local corpus the corpus itself
    files: Any  # an fsspec filesystem that DuckDB reads `where` with, None for plain paths

    def __str__(self) -> str: ...

    def where(self, name: str) -> str:
        """The path or URL that DuckDB opens."""
        ...

    def explained(self) -> AbstractContextManager[None]:
        """Turns what the disk or SQLite says inside into a CorpusError."""
        ...

    # --- reading

    def entries(self) -> list[str]:
        """Files and folders at the top, sorted; none where there is no corpus."""
        ...

    def read(self, name: str) -> bytes | None:
        """A file of some MiB at most, None where there is none."""
        ...

    def states(self, names: Iterable[str]) -> Mapping[str, FileState]:
        """Of those that are there (and perhaps of others)."""
        ...

    def checksum(self, name: str) -> str:
        """Of every byte of a file (infra/storage/checksums.py). Raises FileNotFoundError."""
        ...

    def open(self, name: str) -> str | RawIOBase:
        """What pyarrow reads a part from."""
        ...

    # --- writing

    def claim(self, journal: str) -> None:
        """Keep the writers of other machines out; `journal` names this machine's.

        Raises CorpusError where another machine writes.
        """
        ...

    def assert_claimed(self) -> None:
        """Raises CorpusError once another machine has taken over."""
        ...

    def release(self) -> None:
        """Let the next writer in."""
        ...

    def now(self) -> float:
        """Unix time by the clock that all writers of this corpus share, seconds."""
        ...

    def replace(self, name: str, content: bytes) -> None:
        """Replace a small file in one step; durable on return.

        Raises CorpusError where somebody else replaced it since this store read or replaced it.
        """
        ...

    def scratch(self, name: str) -> Path:
        """The local file to write `name` into before `publish`."""
        ...

    def publish(self, name: str) -> str:
        """Move the scratch file under its name; durable on return.

        Its tag, if it will have the same one for whoever reads it on whatever machine; else "".
        """
        ...

    def delete(self, name: str) -> None:
        """Gone afterwards, whether or not it was there."""
        ...

    def set_aside(self, name: str, to: str) -> None:
        """Move a file."""
        ...

    def remove_leftovers(self, tables: Collection[str], live: Collection[str]) -> list[str]:
        """Delete what killed writers left of parts not in `live`; their names."""
        ...

    def keep(self, name: str) -> None:
        """Have the folder `name` of `folder` in the corpus too."""
        ...

    def fetch(self, name: str) -> bool:
        """Have the folder `name` of the corpus in `folder`; whether it is there."""
        ...

    def place(self, name: str) -> Place:
        """Where others may write the folder `name` of the corpus by themselves."""
        ...

    def remove(self, name: str) -> None:
        """Delete the folder `name`, here and in the corpus, and what held nothing else; harmless
        where there is none."""
        ...
