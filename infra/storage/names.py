"""Names that others wrote (keys of a bucket, parts of a manifest, rows of `models`) become paths.

Invariant: no path made of such a name leads out of its folder, neither by its spelling nor through
a symbolic link; what would is refused in one line, before anything is read, written or deleted.

    inside(Path("corpus"), "weights/m1/config.json")  ->  corpus/weights/m1/config.json
    inside(Path("corpus"), "weights/m1/../../../x")   ->  UnsafeNameError
"""

from __future__ import annotations

import re
from pathlib import Path

from infra.storage.errors import CorpusError

LONGEST = 120  # characters of a name, in a message
_PART = re.compile(r"[a-z]\w*/part-[\w.-]+", re.ASCII)  # no pattern either: DuckDB would expand it
_DRIVE = re.compile(r"[A-Za-z]:")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class UnsafeNameError(CorpusError):
    """A name from outside that is no plain path below its folder."""


def checked_name(name: str, *, of: object, below: str = "") -> str:
    """`name`, a relative path of plain steps (in the folder `below`), written by `of`.

    Raises UnsafeNameError.
    """
    if fault := _fault(name):
        raise _refused(name, fault, of=of)
    if below and not name.startswith(f"{below}/"):
        raise _refused(name, f"is not below {below}/", of=of)
    return name


def checked_part(name: str, *, of: object) -> str:
    """`name` as parts are named, e.g. "problems/part-....parquet". Raises UnsafeNameError."""
    if not _PART.fullmatch(checked_name(name, of=of)):
        raise _refused(name, "is not the name of a part", of=of)
    return name


def inside(folder: Path, name: str, *, of: object = None) -> Path:
    """The path of `name` in `folder`, which itself may be a link. Raises UnsafeNameError."""
    path = folder
    for step in checked_name(name, of=of or folder).split("/"):
        path = path / step
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise _refused(name, "leads out of its folder by a symbolic link", of=of or folder)
    return path


def _fault(name: object) -> str | None:
    if not isinstance(name, str) or not name:
        return "is empty"
    if _UNPRINTABLE.search(name):
        return "holds a control character"
    if name.startswith("/") or _DRIVE.match(name):
        return "is an absolute path"
    if "\\" in name:
        return "holds a backslash"
    if ".." in name.split("/"):
        return "leads out of its folder"
    return "has an empty step" if {"", "."} & {*name.split("/")} else None


def _refused(name: object, fault: str, *, of: object) -> UnsafeNameError:
    told = ascii(name) if len(str(name)) <= LONGEST else f"{str(name)[:LONGEST]!a}..."
    return UnsafeNameError(
        f"{of}: the name {told} {fault}, and nothing was done with it; somebody else wrote it: "
        "remove it there, or pass another --corpus"
    )
