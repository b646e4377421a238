"""What a corpus is kept in: a folder, or a prefix of a bucket. The few things asked of either.

Invariant: a file appears under its name whole or not at all; the manifest is replaced in one step,
and only by the writer that read it last; what two machines may both write has a claim on it. A
table's folder holds live parts only, so that whoever globs it reads current rows: parts that a
compaction replaced, or is still writing, are read in `_parts/TABLE/`.

    open_store("corpora/maths")         ->  LocalStore
    open_store("s3://bucket/maths")     ->  S3Store, its journal in <journals>/bucket-3fa2c19b04d1
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import Any, Protocol

MANIFEST = "_manifest.json"
LOCK = "_lock"
JOURNAL = "_journal"
QUARANTINE = "_quarantine"
REPORT = "report.html"  # the page of the run that made it last (flows/page)
COPYING = "_copying.json"  # while the first copy into a place has not come to its end
PARTS = "_parts"  # parts by a name that no compaction takes from their readers
SCRATCH = "_scratch"  # files that are being written
OURS = {JOURNAL, LOCK, QUARANTINE, PARTS, SCRATCH, f"{MANIFEST}.tmp"}


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
        """The path or URL that a person is told."""
        ...

    def readable(self, name: str) -> str:
        """The path or URL that a part is read by, also once it is replaced, as long as it stays."""
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

    def listed(self) -> Mapping[str, FileState]:
        """Every file of the corpus by name, whoever wrote it; none where there is no corpus."""
        ...

    def writer(self) -> str | None:
        """Who writes it just now, in words; None: nobody is known to."""
        ...

    def checksum(self, name: str) -> str:
        """Of every byte of a file (infra/storage/checksums.py). Raises FileNotFoundError."""
        ...

    def copy_out(self, name: str, path: Path) -> None:
        """Have the bytes of a file in the local file `path`. Raises FileNotFoundError."""
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

    def publish(self, name: str, *, apart: bool = False) -> str:
        """Move the scratch file under its name; durable on return.

        `apart`: a part that is not in its table's folder before `exchange`.

        Its tag, if it will have the same one for whoever reads it on whatever machine; else "".
        """
        ...

    def delete(self, name: str) -> None:
        """Gone afterwards, whether or not it was there."""
        ...

    def set_aside(self, name: str, to: str) -> None:
        """Move a file."""
        ...

    def exchange(self, gone: Sequence[str], come: str) -> str:
        """Take the parts `gone` out of their table's folder and bring `come`, published apart, in.

        All stay readable. A glob never has a row twice, and misses rows for as long as renaming
        takes. The tag of `come`, as of `publish`.
        """
        ...

    def settle(
        self, tables: Collection[str], *, live: Collection[str], kept: Collection[str]
    ) -> list[str]:
        """Whatever a killed or an older writer left: have the parts `live` in the tables' folders,
        `kept` readable, and nothing else; the names of what was deleted."""
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
