"""Names to sources: what may be read, how a file tells its kind, and what reading it gives.

Invariant: a Source exists and is of a readable kind (a hub id is taken on trust); everything else
is an IngestError with one line that names the thing and the remedy.

A sample: "data/sums.jsonl.gz" -> Source(location="data/sums.jsonl.gz", name="sums.jsonl.gz",
kind="jsonl", is_gzip=True).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.errors import UsageError

Fields = dict[str, object]
Kind = Literal["jsonl", "json", "csv", "parquet", "hub"]

KINDS: dict[str, Kind] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json",
    ".csv": "csv", ".tsv": "csv", ".parquet": "parquet",
}  # fmt: skip
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.\[\]%:-]+)?")
_SPLIT = re.compile(r"(train|test|validation|valid|val|dev|eval)\w*(\[.*\])?")


class IngestError(UsageError):
    """The input cannot be used at all; the message is one line naming the thing and the remedy."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row as the source holds it."""

    line: int  # line, row or item number, from 1
    fields: Fields
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be read; `reason` is snake_case."""

    line: int
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file or hub data set. `name` is short, distinct within one call, and never absolute."""

    location: str
    name: str
    kind: Kind
    is_gzip: bool = False


RowStream = Iterator[SourceRow | BadRow]


def file_sha(path: str | Path) -> str:
    """SHA-256 of the file's bytes, 64 hex characters. Raises IngestError if it cannot be read."""
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise IngestError(f"cannot read {path}: {error.strerror}") from error


def find_sources(locations: Iterable[str | Path]) -> list[Source]:
    """Checks that every location is a readable kind of source. Raises IngestError."""
    named = [str(location) for location in locations]
    if not named:
        raise IngestError("no input was named: give a file or a hub id (org/name)")
    real = [os.path.realpath(location) for location in named]
    if doubled := [location for n, location in enumerate(named) if real[n] in real[:n]]:
        raise IngestError(f"{doubled[0]} is given twice: name each input once")
    return [_find_source(location, _short_name(location, named)) for location in named]


def is_file_name(name: str) -> bool:
    """Whether it names a file, there or not, rather than a hub id."""
    kind, is_gzip = _kind_of(Path(name))
    return kind is not None or is_gzip or name.startswith(("./", "../", "/", "~"))


def parse_hub_id(text: str) -> tuple[str, str | None, str]:
    """The parts of `org/name[:config][:split]`; a lone split name is a split."""
    name, *rest = re.split(r":(?![^\[]*\])", text, maxsplit=2)
    if len(rest) == 1 and _SPLIT.fullmatch(rest[0]):
        return name, None, rest[0]
    config, split = [*rest, "", ""][:2]
    return name, config or None, split or "train"


def _find_source(location: str, name: str) -> Source:
    path = Path(location)
    kind, is_gzip = _kind_of(path)
    try:
        is_there, is_folder, is_file = path.exists(), path.is_dir(), path.is_file()
        is_empty = is_file and path.stat().st_size == 0
    except OSError as error:
        raise IngestError(f"cannot read {location}: {error.strerror}") from error
    if not is_there:
        if kind is None and not is_gzip and _HUB_ID.fullmatch(location):
            return Source(location=location, name=location, kind="hub")
        raise IngestError(f"no such file: {location}")
    if is_folder:
        raise IngestError(f"{location} is a directory: name the file to read{_example_in(path)}")
    if kind is None or (is_gzip and kind == "parquet"):
        raise IngestError(
            f"{location}: unknown kind of file; readable are {', '.join(KINDS)} (all but"
            " .parquet also with .gz), and hub ids (org/name)"
        )
    if not is_file:
        raise IngestError(f"{location} is not a regular file: save it to a file first")
    if is_empty:
        raise IngestError(f"{location} is empty")
    return Source(location=location, name=name, kind=kind, is_gzip=is_gzip)


def _kind_of(path: Path) -> tuple[Kind | None, bool]:
    is_gzip = path.suffix.lower() == ".gz"
    name = path.with_suffix("") if is_gzip else path
    return KINDS.get(name.suffix.lower()), is_gzip


def _short_name(location: str, named: Sequence[str]) -> str:
    """The shortest tail of the path that no other given path ends with."""
    parts = Path(location).parts
    for count in range(1, len(parts)):
        tail = parts[-count:]
        if sum(Path(other).parts[-count:] == tail for other in named) == 1:
            return "/".join(tail)
    return "/".join(parts).lstrip("/")


def _example_in(folder: Path) -> str:
    for path in sorted(folder.iterdir()):
        if path.suffix in KINDS:
            return f", e.g. {path}"
    return ""
