"""What a file must still hold: a checksum of its bytes, taken while it is written.

XXH3 of 128 bits: rot is no adversary, and a file is summed as fast as it is read (30 times as fast
as SHA-256 here, docs/benchmarks.md), so checking costs a run what reading its parts costs.

    checksum_of(b"PAR1...") == "9c0e12f4a7e44105b1f0c3d9a7e4410f"
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import xxhash

CHUNK_BYTES = 2**20
SUMS = "checksums.json"


def checksum_of(content: bytes) -> str:
    """32 hex characters."""
    return str(xxhash.xxh3_128_hexdigest(content))


def checksum_of_chunks(chunks: Iterable[bytes | memoryview]) -> str:
    """The same of a content in pieces."""
    digest = xxhash.xxh3_128()
    for chunk in chunks:
        digest.update(chunk)
    return str(digest.hexdigest())


def checksum_of_file(path: Path) -> str:
    """The same of a file of this machine. Raises OSError."""
    return checksum_of_chunks(_chunks(path))


def _chunks(path: Path) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            yield buffer[:size]


class SummingFile(io.RawIOBase):
    """Writes through to `file` and sums what was meant to be in it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = xxhash.xxh3_128()

    @property
    def checksum(self) -> str:
        return str(self._digest.hexdigest())

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._digest.update(content)
        return self._file.write(content)

    def tell(self) -> int:
        return self._file.tell()


# --- folders: trained weights


def sum_folder(folder: Path) -> None:
    """Leave the checksums of all files of a folder in it. Raises OSError."""
    sums = {str(path.relative_to(folder)): checksum_of_file(path) for path in _files(folder)}
    (folder / SUMS).write_text(json.dumps(sums, indent=1, sort_keys=True) + "\n")


def folder_faults(folder: Path) -> list[str]:
    """One line for each file that is not what `sum_folder` summed; none where it never did."""
    path = folder / SUMS
    try:
        sums: dict[str, str] = dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        return [f"{path}: cannot be read ({error})"]
    there = {str(file.relative_to(folder)): file for file in _files(folder)}
    return [
        f"{folder / name}: {'holds other bytes than were written' if name in there else 'is gone'}"
        for name, summed in sums.items()
        if name not in there or checksum_of_file(there[name]) != summed
    ]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
