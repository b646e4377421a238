"""Bytes to rows: reads JSONL, JSON, CSV and hub data sets, one row at a time.

Invariant: memory is bounded by one row (Parquet and Arrow, in tasks/intake/columnar.py: one batch;
JSON lists that stand behind a key: by the objects beside them), and every row of the source comes
out exactly once, in order: as a SourceRow, or as a BadRow that says why it could not be read. Only
what spoils the whole source raises, and it raises IngestError.

A sample: SourceRow(line=3, fields={"question": "3 + 4?", "answer": "7"}), and
BadRow(line=4, reason="broken_json", detail="broken JSON: Expecting ',' delimiter at column 17").
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from tasks.intake.columnar import one_line, read_arrow, read_parquet
from tasks.intake.sources import (
    BadRow,
    IngestError,
    Packing,
    RowStream,
    Source,
    SourceRow,
    Unreadable,
    parse_hub_id,
)

CHUNK_BYTES = 1 << 16
# Under which a list of rows may stand in one JSON object.
LIST_NAMES = (
    "data", "rows", "examples", "instances", "items", "records", "samples", "questions", "problems",
    "dataset", "results", "train", "test", "validation", "dev",
)  # fmt: skip
Shape = Literal["lines", "list", "objects"] | int  # int: a list of rows begins at that byte
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"


def read_rows(
    source: Source, *, max_line_bytes: int, columns: Sequence[str] | None = None
) -> RowStream:
    """The rows of `source`. `columns` (dotted paths): only these are needed, which
    spares columnar files from decoding the others, and all of them from being right.

    Raises IngestError.
    """
    try:
        if source.kind == "hub":
            yield from read_hub(source)
        elif source.kind == "parquet":
            yield from read_parquet(source, columns)
        elif source.kind == "arrow":
            yield from read_arrow(source, columns)
        elif source.kind == "csv":
            with open_bytes(source) as stream:
                yield from _read_csv(stream, source, max_line_bytes, columns)
        else:
            yield from _read_json(source, max_line_bytes)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        said = getattr(error, "strerror", None) or one_line(error)  # strerror: without the path
        raise IngestError(f"cannot read {source.location}: {said}") from error


def read_hub(source: Source, load: Callable[..., Iterable[Any]] | None = None) -> RowStream:
    """The rows of a hub data set; `load` stands in for datasets.load_dataset."""
    if load is None:
        from datasets import load_dataset

        load = load_dataset
    hub = parse_hub_id(source.location)
    pinned = {"revision": hub.revision} if hub.revision else {}
    try:
        rows: Iterable[Any] = load(hub.name, hub.config, split=hub.split, **pinned)
        for number, row in enumerate(rows, start=1):
            yield SourceRow(number, dict(row))
    except Exception as error:  # the library raises whatever its storage back ends raise
        raise IngestError(
            f"no file {source.location}, and the hub data set {hub.name} (config"
            f" {hub.config or 'default'}, split {hub.split}) could not be loaded: {one_line(error)}"
        ) from error


@contextmanager
def open_bytes(source: Source) -> Iterator[BinaryIO]:
    """The file's bytes after its byte order mark, unpacked."""
    with Path(source.location).open("rb") as raw:
        mark = unpacked(raw, source.packing).read(len(_UTF8_MARK))
    if mark[:2] in _UTF16_MARKS:
        raise IngestError(f"{source.location} is UTF-16: convert it with iconv -f UTF-16 -t UTF-8")
    with Path(source.location).open("rb") as raw:
        stream = unpacked(raw, source.packing)
        stream.read(len(mark) if mark == _UTF8_MARK else 0)
        yield stream


def unpacked(raw: BinaryIO, packing: Packing | None) -> BinaryIO:
    """The bytes of what was packed; `raw` stays the caller's to close."""
    if packing == "gz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    if packing == "bz2":
        return cast(BinaryIO, bz2.BZ2File(raw))
    if packing == "xz":
        return cast(BinaryIO, lzma.LZMAFile(raw))
    if packing == "zst":
        import pyarrow as pa  # Python has no zstd of its own before 3.14

        return cast(BinaryIO, io.BufferedReader(pa.input_stream(raw, compression="zstd")))
    return raw


def _bounded_lines(stream: BinaryIO, limit: int) -> Iterator[bytes | None]:
    """Lines with their ends; None for one longer than `limit` bytes, which is never held whole."""
    while line := stream.readline(limit + 2):
        if len(line.rstrip(b"\r\n")) <= limit:
            yield line
            continue
        while not line.endswith(b"\n") and (rest := stream.readline(CHUNK_BYTES)):
            line = rest
        yield None


def _read_json(source: Source, limit: int) -> RowStream:
    """JSON in any form, whatever its extension: objects one a line, a list, a list in an object."""
    with open_bytes(source) as stream:
        shape = _shape(stream, source, limit)
    with open_bytes(source) as stream:
        if shape == "lines":
            yield from _read_jsonl(stream, limit)
            return
        if isinstance(shape, int):
            _skip(stream, shape)
        elif shape == "list":
            _blanks(stream)
        is_list = shape != "objects"
        for number, item in enumerate(_split_items(stream, limit, is_list=is_list), start=1):
            yield _too_long(number, limit) if item is None else _parse_object(number, item)


def _read_jsonl(stream: BinaryIO, limit: int) -> RowStream:
    for number, line in enumerate(_bounded_lines(stream, limit), start=1):
        if line is None:
            yield _too_long(number, limit)
        elif line.strip():
            yield _parse_object(number, line)


_KEY = re.compile(rb'\s*(?:"(?:[^"\\]|\\.)*"\s*:|\})')  # in an object over several lines


def _shape(stream: BinaryIO, source: Source, limit: int) -> Shape:
    """How the rows stand in it, by its first line and whether another one follows."""
    start = _blanks(stream)
    if start == b"[" and source.kind == "json":
        return "list"
    if start not in (b"[", b"{"):
        return "lines"
    lines = _bounded_lines(stream, limit)
    rest = next(lines, b"")
    second = next((line for line in lines if line is None or line.strip()), b"")
    is_only = second == b""
    try:
        value = None if rest is None else json.loads(start + rest)
    except (ValueError, RecursionError):
        value = None
    if start == b"[":
        is_open = value is None and rest is not None and rest.strip() in (b"", b"{")
        is_list = is_only and (rest is None or (value and isinstance(value[0], dict)))
        return "list" if is_open or is_list else "lines"
    if isinstance(value, dict) and not (is_only and any(name in value for name in LIST_NAMES)):
        return "lines"
    if rest is None and not is_only:
        return "lines"
    is_spread = rest is not None and not rest.strip() and _KEY.match(second or b"")
    return _list_in_object(source) or ("objects" if is_spread else "lines")


def _blanks(stream: BinaryIO) -> bytes:
    """The first byte behind the blanks the stream begins with; all of these are read."""
    while (first := stream.read(1)).isspace():
        pass
    return first


def _skip(stream: BinaryIO, size: int) -> None:
    while size > 0 and (chunk := stream.read(min(size, CHUNK_BYTES))):
        size -= len(chunk)


def _list_in_object(source: Source) -> int | None:
    """Where the rows begin in {"data": [{...}, ...]}. Raises IngestError where it holds several."""
    with open_bytes(source) as stream:
        found = [(name, at) for name, at in _lists_of_objects(stream) if name in LIST_NAMES]
    if len(found) > 1:
        names = ", ".join(name for name, _ in found)
        raise IngestError(f"{source.location} holds several lists ({names}): save one to a file")
    return found[0][1] if found else None


_IN_LIST = re.compile(rb'"((?:[^"\\]|\\.){1,200})"\s*:\s*\[\s*\{\Z', re.DOTALL)
_KEPT_BYTES = 1_000


def _lists_of_objects(stream: BinaryIO) -> Iterator[tuple[str, int]]:
    """Keys of the outermost object whose value is a list of objects; the byte behind its "["."""
    depth, in_string, before = 0, False, 0
    near = bytearray()  # what stands outside of inner values, the last of it
    opened = 0
    while chunk := _read_chunk(stream):
        position = 0
        while mark := (_IN_STRING if in_string else _OUTSIDE).search(chunk, position):
            if depth <= 2:
                near += chunk[position : mark.end()]
                del near[:-_KEPT_BYTES]
            position, token = mark.end(), mark.group()
            if token == b'"':
                in_string = not in_string
            elif not in_string and token in b"[{":
                depth += 1
                if depth == 2:
                    opened = before + position
                elif depth == 3 and token == b"{" and (found := _IN_LIST.search(near)):
                    yield found[1].decode("utf-8", "replace"), opened
                    near.clear()
            elif not in_string and token in b"]}":
                depth -= 1
        if depth <= 2:
            near += chunk[position:]
            del near[:-_KEPT_BYTES]
        before += len(chunk)
        if depth <= 0:
            return


_IN_STRING = re.compile(rb'"|\\.', re.DOTALL)
_OUTSIDE = re.compile(rb'["\[\]{},]')


def _split_items(stream: BinaryIO, limit: int, *, is_list: bool) -> Iterator[bytes | None]:
    """The items of a list whose "[" was read, unparsed; None for one longer than `limit` bytes.

    Without `is_list` the objects of a file that holds one after the other.
    """
    item, is_long, depth, in_string = bytearray(), False, 1, False
    while depth and (chunk := _read_chunk(stream)):
        start = position = 0
        while depth and (mark := (_IN_STRING if in_string else _OUTSIDE).search(chunk, position)):
            position, token = mark.end(), mark.group()
            if token == b'"':
                in_string = not in_string
            elif not in_string:
                depth += (token in b"[{") - (token in b"]}")
            ends = b"," if is_list else b"}"
            if not in_string and (depth == 0 or (token == ends and depth == 1)):
                item += chunk[start : mark.start() if is_list else mark.end()]
                if item.strip() or is_long:
                    yield None if is_long or len(item) > limit else bytes(item)
                item, is_long, start = bytearray(), False, position
        item += chunk[start:]
        if len(item) > limit:
            item, is_long = bytearray(), True
    if depth and (item.strip() or is_long):
        yield None if is_long else bytes(item)


def _read_chunk(stream: BinaryIO) -> bytes:
    """A chunk that does not end between a backslash and the byte it escapes."""
    chunk = stream.read(CHUNK_BYTES)
    while chunk.endswith(b"\\") and (more := stream.read(1)):
        chunk += more
    return chunk


def _parse_object(number: int, raw: bytes) -> SourceRow | BadRow:
    warnings = ("nul_removed",) if b"\0" in raw else ()
    try:
        value = json.loads(raw.replace(b"\0", b"").decode("utf-8"))
    except UnicodeDecodeError as error:
        return BadRow(number, "invalid_utf8", f"invalid UTF-8 at byte {error.start + 1}")
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")
        return BadRow(number, "broken_json", f"broken JSON: {what} at column {error.colno}")
    except (ValueError, RecursionError) as error:  # a number of 10 000 digits; nested 10 000 deep
        return BadRow(number, "broken_json", f"broken JSON: {one_line(error)}")
    if isinstance(value, dict) and {"row_idx", "row"} <= value.keys():  # the hub's rows API
        value = value["row"]
    if not isinstance(value, dict):
        kind = type(value).__name__
        return BadRow(number, "not_an_object", f"a JSON {kind}, not an object with named columns")
    return SourceRow(number, value, warnings)


def _too_long(number: int, limit: int) -> BadRow:
    return BadRow(number, "line_too_long", f"longer than {limit} bytes (max_line_bytes)")


class _LineTooLongError(Exception):
    pass


class _CsvLines:
    """Lines for csv.reader that count themselves and go on after one that was too long."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self.number = 0
        self._lines = _bounded_lines(stream, limit)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        if line is None:
            raise _LineTooLongError
        return line.decode("utf-8", "surrogateescape")

    def skip_quoted(self) -> None:
        """Goes past the line that closes the quoted field the lines so far left open."""
        for line in self._lines:
            self.number += 1
            if line is not None and line.count(b'"') % 2:
                return


def _read_csv(
    stream: BinaryIO, source: Source, limit: int, columns: Sequence[str] | None
) -> RowStream:
    lines = _CsvLines(stream, limit)
    header, delimiter = _read_header(lines, source)
    doubled = {name for name in header if header.count(name) > 1}
    if needed := sorted(doubled & set(columns or ())):
        raise IngestError(f"{source.location} has two columns named {needed[0]!r}: rename one")
    records = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = lines.number + 1
        try:
            record = _next_record(records, limit)
        except StopIteration:
            return
        except _LineTooLongError:
            yield _too_long(line, limit)
        except csv.Error as error:
            yield _broken_csv(line, lines, error, limit)
        else:
            if record:
                yield _csv_row(line, header, record, doubled)


def _next_record(records: Iterator[list[str]], limit: int) -> list[str]:
    before = csv.field_size_limit(limit)  # one for the process: set for this call only
    try:
        return next(records)
    finally:
        csv.field_size_limit(before)


def _broken_csv(line: int, lines: _CsvLines, error: csv.Error, limit: int) -> BadRow:
    if "field larger" in str(error):
        lines.skip_quoted()
        return _too_long(line, limit)
    span = f" (lines {line} to {lines.number})" if lines.number > line else ""
    return BadRow(line, "broken_csv", f"broken CSV: {error}{span}")


def _read_header(lines: _CsvLines, source: Source) -> tuple[list[str], str]:
    try:
        first = next(lines, "")
        delimiter = max(",;\t", key=first.count)
        header = next(csv.reader([first], delimiter=delimiter, strict=True), [])
    except (csv.Error, _LineTooLongError) as error:
        raise IngestError(f"{source.location}: its first line is no CSV header: {error}") from error
    if any("\udc80" <= character <= "\udcff" for name in header for character in name):
        raise IngestError(f"{source.location} is not UTF-8: convert it with iconv")
    if not any(header):
        raise IngestError(f"{source.location}: its first line should name the columns")
    return header, delimiter


def _csv_row(
    line: int, header: list[str], record: list[str], doubled: set[str]
) -> SourceRow | BadRow:
    if len(record) > len(header):
        return BadRow(line, "too_many_fields", f"{len(record)} fields for {len(header)} columns")
    try:
        "".join(record).encode("utf-8")
    except UnicodeEncodeError:
        return BadRow(line, "invalid_utf8", "invalid UTF-8")
    padded: list[str | None] = [*record, *[None] * (len(header) - len(record))]
    fields: dict[str, object] = dict(zip(header, padded, strict=True))
    lost = Unreadable("doubled_column", "two columns have this name")
    return SourceRow(line, fields | dict.fromkeys(doubled, lost))
