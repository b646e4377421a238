"""Names to sources: what may be read, how a file tells its kind, and what reading it gives.

Invariant: a Source exists and is of a readable kind (a hub id is taken on trust); everything else
is an IngestError with one line that names the thing and the remedy.

A sample: "data/sums.jsonl.gz" -> Source(location="data/sums.jsonl.gz", name="sums.jsonl.gz",
kind="jsonl", packing="gz"). A benchmark is read as its file says: "aime24" ->
Source(location="HuggingFaceH4/aime_2024:train", name="aime24", kind="hub", benchmark="aime24").
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tasks.benchmarks import is_benchmark, load_benchmark, unknown_benchmark
from tasks.errors import UsageError

Fields = dict[str, object]
Kind = Literal["jsonl", "json", "csv", "parquet", "arrow", "hub"]
Packing = Literal["gz", "zst", "bz2", "xz"]

KINDS: dict[str, Kind] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json",
    ".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".arrow": "arrow",
}  # fmt: skip
PACKINGS: dict[str, Packing] = {".gz": "gz", ".zst": "zst", ".bz2": "bz2", ".xz": "xz"}
IN_COLUMNS: tuple[Kind, ...] = ("parquet", "arrow")  # packed within, never as a whole
# What a file begins with says what it is, whatever its name.
_PACKED: dict[bytes, Packing] = {
    b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst", b"BZh": "bz2", b"\xfd7zXZ": "xz"
}  # fmt: skip
_COLUMNS: dict[bytes, Kind] = {b"PAR1": "parquet", b"ARROW1": "arrow"}
_NO_DATA = {
    b"version https://git-lfs": "is a Git LFS pointer, not the data: fetch it with git lfs pull",
    b"<!doctype html": "is a web page, not the data: download the file itself",
    b"<html": "is a web page, not the data: download the file itself",
    b"pk\x03\x04": "is a ZIP archive: unpack it, and name the file in it",
}
_HEAD_BYTES = 64
# What datasets.save_to_disk leaves in a folder: of one split, of several.
_STATE, _SPLITS = "state.json", "dataset_dict.json"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?(:[\w.\[\]%:-]+)?")
_BARE_NAME = re.compile(r"[\w-]+")
_SPLIT = re.compile(r"(train|test|validation|valid|val|dev|eval)\w*(\[.*\])?")


class IngestError(UsageError):
    """The input cannot be used at all; the message is one line naming the thing and the remedy."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))  # a column's name may hold line breaks


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
    """A file, a data set's folder or a hub data set; `benchmark` names the one that it is.

    `name` is short, distinct within one call, and never absolute.
    """

    location: str
    name: str
    kind: Kind
    packing: Packing | None = None
    benchmark: str = ""


@dataclass(frozen=True, kw_only=True)
class HubId:
    """A hub data set, and which part of it; no revision: the newest."""

    name: str
    revision: str | None
    config: str | None
    split: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """In the place of a value that could not be read; `reason` is snake_case."""

    reason: str
    why: str


RowStream = Iterator[SourceRow | BadRow]


def file_sha(path: str | Path) -> str:
    """SHA-256 of the file's bytes, 64 hex characters; of a data set's folder that of its files'.

    Raises IngestError if it cannot be read.
    """
    try:
        if is_saved_dataset(Path(path)):
            shas = [file_sha(part) for part in arrow_files(path)]
            return hashlib.sha256("\n".join(shas).encode()).hexdigest()
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise IngestError(f"cannot read {path}: {error.strerror}") from error


def find_sources(locations: Iterable[str | Path]) -> list[Source]:
    """Checks that every location is a readable kind of source. Raises IngestError."""
    named = [str(location) for location in locations]
    if not named:
        raise IngestError("no input was named: give a file or a hub id (org/name)")
    where = [location_of(name) for name in named]
    real = [os.path.realpath(location) for location in where]
    if doubled := [name for n, name in enumerate(named) if real[n] in real[:n]]:
        raise IngestError(f"{doubled[0]} is given twice: name each input once")
    return [
        _named_source(name, location, where) for name, location in zip(named, where, strict=True)
    ]


def location_of(name: str) -> str:
    """Where the data of a benchmark are; anything else is where it says. Raises BenchmarkError."""
    return load_benchmark(name).data if is_benchmark(name) else name


def _named_source(name: str, location: str, where: Sequence[str]) -> Source:
    if is_benchmark(name):
        called = load_benchmark(name).name
        return replace(_find_source(location, called), name=called, benchmark=name)
    if _BARE_NAME.fullmatch(name) and not Path(name).exists():
        raise unknown_benchmark(name)
    return _find_source(location, _short_name(location, where))


def is_file_name(name: str) -> bool:
    """Whether it names a file, there or not, rather than a hub id."""
    kind, packing = _kind_of(Path(name))
    return kind is not None or packing is not None or name.startswith(("./", "../", "/", "~"))


def is_saved_dataset(path: Path) -> bool:
    """Whether it is a folder that datasets.save_to_disk wrote, of one split or of several."""
    return path.is_dir() and ((path / _STATE).is_file() or (path / _SPLITS).is_file())


def arrow_files(location: str | Path) -> list[Path]:
    """The files of an .arrow file, or of a data set's folder, in order. Raises IngestError."""
    path = Path(location)
    if not path.is_dir():
        return [path]
    try:
        if (path / _SPLITS).is_file():
            splits = json.loads((path / _SPLITS).read_text(encoding="utf-8"))["splits"]
            if len(splits) != 1:
                named = ", ".join(str(path / split) for split in splits)
                raise IngestError(f"{path} holds {len(splits)} splits: name one of {named}")
            path = path / splits[0]
        state = json.loads((path / _STATE).read_text(encoding="utf-8"))
        return [path / part["filename"] for part in state["_data_files"]]
    except IngestError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IngestError(f"{path} is no readable data set: {error!r}") from error


def parse_hub_id(text: str) -> HubId:
    """The parts of `org/name[@revision][:config][:split]`; a lone split name is a split."""
    name, *rest = re.split(r":(?![^\[]*\])", text, maxsplit=2)
    name, _, revision = name.partition("@")
    if len(rest) == 1 and _SPLIT.fullmatch(rest[0]):
        rest = ["", rest[0]]
    config, split = [*rest, "", ""][:2]
    return HubId(
        name=name, revision=revision or None, config=config or None, split=split or "train"
    )


def _find_source(location: str, name: str) -> Source:
    path = Path(location)
    kind, packing = _kind_of(path)
    try:
        is_there, is_folder, is_file = path.exists(), path.is_dir(), path.is_file()
        head = _head(path) if is_file else b""
    except OSError as error:
        raise IngestError(f"cannot read {location}: {error.strerror}") from error
    if not is_there:
        if kind is None and packing is None and _HUB_ID.fullmatch(location):
            return Source(location=location, name=name, kind="hub")
        raise IngestError(f"no such file: {location}")
    if is_saved_dataset(path):
        arrow_files(path)
        return Source(location=location, name=name, kind="arrow")
    if is_folder:
        raise IngestError(f"{location} is a directory: name the file to read{_example_in(path)}")
    for mark, what in _NO_DATA.items():
        if head.lstrip().lower().startswith(mark):
            raise IngestError(f"{location} {what}")
    kind = next((held for mark, held in _COLUMNS.items() if head.startswith(mark)), kind)
    packing = next((by for mark, by in _PACKED.items() if head.startswith(mark)), packing)
    if kind is None or (packing and kind in IN_COLUMNS):
        raise IngestError(
            f"{location}: unknown kind of file; readable are {', '.join(KINDS)} (all but .parquet"
            f" and .arrow also with {', '.join(PACKINGS)}), folders of datasets.save_to_disk, and"
            " hub ids (org/name)"
        )
    if not is_file:
        raise IngestError(f"{location} is not a regular file: save it to a file first")
    if not head:
        raise IngestError(f"{location} is empty")
    return Source(location=location, name=name, kind=kind, packing=packing)


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_HEAD_BYTES)


def _kind_of(path: Path) -> tuple[Kind | None, Packing | None]:
    packing = PACKINGS.get(path.suffix.lower())
    name = path.with_suffix("") if packing else path
    return KINDS.get(name.suffix.lower()), packing


def _short_name(location: str, named: Sequence[str]) -> str:
    """The shortest tail of the path that no other given path ends with."""
    parts = Path(location).parts
    for count in range(1, len(parts)):
        tail = parts[-count:]
        if sum(Path(other).parts[-count:] == tail for other in named) == 1:
            return "/".join(tail)
    return "/".join(parts).lstrip("/")


def _example_in(folder: Path) -> str:
    for path in (*sorted(folder.iterdir()), *sorted(folder.glob("*/*"))):
        if _kind_of(path)[0] and path.is_file():
            return f", e.g. {path}"
    return ""
