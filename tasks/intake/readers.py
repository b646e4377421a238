"""Bytes to rows: reads JSONL, JSON lists, CSV, Parquet and hub data sets, one row at a time.

Invariant: memory is bounded by one row (one batch for Parquet), and every row of the source comes
out exactly once, in order: as a SourceRow, or as a BadRow that says why it could not be read. Only
what spoils the whole source raises, and it raises IngestError.

A sample: SourceRow(line=3, fields={"question": "3 + 4?", "answer": "7"}), and
BadRow(line=4, reason="broken_json", detail="broken JSON: Expecting ',' delimiter at column 17").
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from tasks.intake.sources import BadRow, IngestError, RowStream, Source, SourceRow, parse_hub_id

CHUNK_BYTES = 1 << 16
PARQUET_BATCH_ROWS = 256
MAX_ERROR_CHARS = 200
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"


def read_rows(
    source: Source, *, max_line_bytes: int, columns: Sequence[str] | None = None
) -> RowStream:
    """The rows of `source`. `columns` (dotted paths) spares Parquet from decoding the others."""
    try:
        if source.kind == "hub":
            yield from read_hub(source)
        elif source.kind == "parquet":
            yield from _read_parquet(source, columns)
        else:
            with _open_bytes(source) as stream:
                yield from _READERS[source.kind](stream, source, max_line_bytes)
    except (OSError, EOFError, zlib.error) as error:
        said = getattr(error, "strerror", None) or _one_line(error)  # strerror: without the path
        raise IngestError(f"cannot read {source.location}: {said}") from error


def read_hub(source: Source, load: Callable[..., Iterable[Any]] | None = None) -> RowStream:
    """The rows of a hub data set; `load` stands in for datasets.load_dataset."""
    if load is None:
        from datasets import load_dataset

        load = load_dataset
    name, config, split = parse_hub_id(source.location)
    try:
        rows: Iterable[Any] = load(name, config, split=split)
        for number, row in enumerate(rows, start=1):
            yield SourceRow(number, dict(row))
    except Exception as error:  # the library raises whatever its storage back ends raise
        raise IngestError(
            f"no file {source.location}, and the hub data set {name} (config {config or 'default'},"
            f" split {split}) could not be loaded: {_one_line(error)}"
        ) from error


def _open_bytes(source: Source) -> BinaryIO:
    """The file's bytes after its byte order mark, unpacked."""
    path = Path(source.location)
    stream = cast(BinaryIO, gzip.GzipFile(path, "rb")) if source.is_gzip else path.open("rb")
    mark = stream.read(len(_UTF8_MARK))
    if mark[:2] in _UTF16_MARKS:
        stream.close()
        raise IngestError(f"{source.location} is UTF-16: convert it with iconv -f UTF-16 -t UTF-8")
    stream.seek(len(mark) if mark == _UTF8_MARK else 0)
    return stream


def _bounded_lines(stream: BinaryIO, limit: int) -> Iterator[bytes | None]:
    """Lines with their ends; None for one longer than `limit` bytes, which is never held whole."""
    while line := stream.readline(limit + 2):
        if len(line.rstrip(b"\r\n")) <= limit:
            yield line
            continue
        while not line.endswith(b"\n") and (rest := stream.readline(CHUNK_BYTES)):
            line = rest
        yield None


def _read_jsonl(stream: BinaryIO, source: Source, limit: int) -> RowStream:
    for number, line in enumerate(_bounded_lines(stream, limit), start=1):
        if line is None:
            yield _too_long(number, limit)
        elif line.strip():
            yield _parse_object(number, line)


def _read_json(stream: BinaryIO, source: Source, limit: int) -> RowStream:
    """A JSON list; a file of objects one a line under this extension is read as JSONL."""
    start = stream.tell()
    while (first := stream.read(1)).isspace():
        pass
    if first != b"[":
        stream.seek(start)
        yield from _read_jsonl(stream, source, limit)
        return
    for number, item in enumerate(_split_items(stream, limit), start=1):
        yield _too_long(number, limit) if item is None else _parse_object(number, item)


_IN_STRING = re.compile(rb'"|\\.', re.DOTALL)
_OUTSIDE = re.compile(rb'["\[\]{},]')


def _split_items(stream: BinaryIO, limit: int) -> Iterator[bytes | None]:
    """The items of a list whose "[" was read, unparsed; None for one longer than `limit` bytes."""
    item, is_long, depth, in_string = bytearray(), False, 1, False
    while depth and (chunk := _read_chunk(stream)):
        start = position = 0
        while depth and (mark := (_IN_STRING if in_string else _OUTSIDE).search(chunk, position)):
            position, token = mark.end(), mark.group()
            if token == b'"':
                in_string = not in_string
            elif not in_string:
                depth += (token in b"[{") - (token in b"]}")
            if not in_string and (depth == 0 or (token == b"," and depth == 1)):
                item += chunk[start : mark.start()]
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
        return BadRow(number, "broken_json", f"broken JSON: {_one_line(error)}")
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


def _read_csv(stream: BinaryIO, source: Source, limit: int) -> RowStream:
    lines = _CsvLines(stream, limit)
    header, delimiter = _read_header(lines, source)
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
                yield _csv_row(line, header, record)


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
    if doubled := sorted({name for name in header if header.count(name) > 1}):
        raise IngestError(f"{source.location} has two columns named {doubled[0]!r}: rename one")
    return header, delimiter


def _csv_row(line: int, header: list[str], record: list[str]) -> SourceRow | BadRow:
    if len(record) > len(header):
        return BadRow(line, "too_many_fields", f"{len(record)} fields for {len(header)} columns")
    try:
        "".join(record).encode("utf-8")
    except UnicodeEncodeError:
        return BadRow(line, "invalid_utf8", "invalid UTF-8")
    padded: list[str | None] = [*record, *[None] * (len(header) - len(record))]
    return SourceRow(line, dict(zip(header, padded, strict=True)))


def _read_parquet(source: Source, columns: Sequence[str] | None) -> RowStream:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source.location) as file:
            names = file.schema_arrow.names
            roots = columns and {c if c in names else c.split(".")[0] for c in columns}
            wanted = [name for name in names if roots is None or name in roots]
            number = 0
            for batch in file.iter_batches(PARQUET_BATCH_ROWS, columns=wanted):
                yield from _batch_rows(batch, number)
                number += batch.num_rows
    except (pa.ArrowException, OverflowError) as error:
        raise IngestError(
            f"{source.location} is no readable Parquet: {_one_line(error)}"
        ) from error


def _batch_rows(batch: Any, before: int) -> RowStream:
    try:
        for number, fields in enumerate(batch.to_pylist(), start=before + 1):
            yield SourceRow(number, fields)
    except UnicodeDecodeError:  # one bad string spoils the batch: go row by row
        for index in range(batch.num_rows):
            try:
                yield SourceRow(before + index + 1, batch.slice(index, 1).to_pylist()[0])
            except UnicodeDecodeError:
                yield BadRow(before + index + 1, "invalid_utf8", "invalid UTF-8")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MAX_ERROR_CHARS else f"{text[:MAX_ERROR_CHARS]}..."


_READERS: dict[str, Callable[[BinaryIO, Source, int], RowStream]] = {
    "jsonl": _read_jsonl, "json": _read_json, "csv": _read_csv
}  # fmt: skip
