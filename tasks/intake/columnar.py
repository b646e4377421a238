"""Parquet and Arrow to rows: only the columns that are needed are decoded.

Invariant: a column nobody asked for spoils nothing, whatever it holds; of those that are needed a
value that cannot be read costs its row, and a column that cannot be is named.

A sample: a file with a time stamp of the year 27000 gives SourceRow(1, {"question": "3 + 4?",
"created": Unreadable("unreadable_value", "date value out of range")}) where all is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

from tasks.intake.chat import ROLE_KEYS
from tasks.intake.sources import (
    BadRow,
    IngestError,
    RowStream,
    Source,
    SourceRow,
    Unreadable,
    arrow_files,
)

BATCH_ROWS = 256
MAX_ERROR_CHARS = 200
# Of a leaf's path in the file what names no field of ours: responses.list.element.text
_WRAPPERS = re.compile(
    r"\.(?:list|bag|array|key_value)\.(?:element|item|array_element|array)(?=\.|$)"
)


def read_parquet(source: Source, columns: Sequence[str] | None) -> RowStream:
    """The rows; of `columns` (dotted paths) alone where given. Raises IngestError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(source.location)
    except (pa.ArrowException, OSError) as error:
        raise IngestError(f"{source.location} is no readable Parquet: {one_line(error)}") from error
    with file:
        wanted = _leaves(file, columns)
        doubled = _doubled(source, file.schema_arrow.names, columns)

        def batches(leaves: Sequence[str]) -> Iterator[Any]:
            return iter(file.iter_batches(BATCH_ROWS, columns=list(leaves)))

        broken = {} if columns is not None else _broken(batches, wanted)
        readable = [leaf for leaf in wanted if leaf not in broken]
        lost = {leaf.split(".")[0]: why for leaf, why in broken.items()} | doubled
        lost = lost if columns is None else {}
        try:
            yield from _rows(batches(readable), lost, is_strict=columns is not None)
        except (pa.ArrowException, OSError, OverflowError) as error:
            raise _unreadable(source, _broken(batches, wanted, whole=True), error) from error


def read_arrow(source: Source, columns: Sequence[str] | None) -> RowStream:
    """The rows of an .arrow file or of a folder of datasets.save_to_disk. Raises IngestError."""
    import pyarrow as pa

    number = 0
    for path in arrow_files(source.location):
        try:
            with pa.memory_map(str(path)) as stream:
                for batch in _record_batches(stream):
                    names = batch.schema.names
                    doubled = _doubled(source, names, columns)
                    roots = _roots(names, columns)
                    kept = [n for n, name in enumerate(names) if roots is None or name in roots]
                    parts = (
                        batch.select(kept).slice(start, BATCH_ROWS)
                        for start in range(0, batch.num_rows, BATCH_ROWS)
                    )
                    lost = doubled if columns is None else {}
                    yield from _rows(parts, lost, is_strict=columns is not None, before=number)
                    number += batch.num_rows
        except (pa.ArrowException, OSError, OverflowError) as error:
            raise IngestError(f"{path} is no readable Arrow file: {one_line(error)}") from error


def count_arrow_rows(location: str) -> int:
    """Rows of an .arrow file or a data set's folder. Raises IngestError, OSError."""
    import pyarrow as pa

    count = 0
    for path in arrow_files(location):
        with pa.memory_map(str(path)) as stream:
            count += sum(batch.num_rows for batch in _record_batches(stream))
    return count


def _record_batches(stream: Any) -> Iterator[Any]:
    """Of either form: that of files, and the streams that datasets writes."""
    import pyarrow as pa

    try:
        file = pa.ipc.open_file(stream)
    except pa.ArrowInvalid:
        stream.seek(0)
        yield from pa.ipc.open_stream(stream)
        return
    for number in range(file.num_record_batches):
        yield file.get_batch(number)


def _roots(names: Sequence[str], columns: Sequence[str] | None) -> set[str] | None:
    """The columns that hold these; a name may have dots of its own."""
    if columns is None:
        return None
    return {column if column in names else column.split(".")[0] for column in columns}


def _leaves(file: Any, columns: Sequence[str] | None) -> list[str]:
    """Paths of the leaves to decode, in the file's order; none twice."""
    paths = [file.schema.column(number).path for number in range(len(file.schema))]
    if columns is not None:
        roots = _roots(file.schema_arrow.names, columns) or set()
        shown = {path: _WRAPPERS.sub("", path) for path in paths}
        asked = [path for path in paths if _is_asked(shown[path], columns)]
        beside = {shown[path].rpartition(".")[0] for path in asked if "." in shown[path]}
        asked += [  # who says a turn, of a conversation that is named by its texts
            path for path in paths
            if shown[path].rpartition(".")[0] in beside and path.split(".")[-1] in ROLE_KEYS
        ]  # fmt: skip
        met = {path.split(".")[0] for path in asked}
        # A path that leads through positions, or to nothing: all of its column.
        paths = [p for p in paths if p in asked or _root(p, roots) in roots - met]
    return list(dict.fromkeys(paths))


def _root(path: str, roots: set[str]) -> str:
    return path if path in roots else path.split(".")[0]


def _is_asked(leaf: str, columns: Sequence[str]) -> bool:
    return any(leaf == column or leaf.startswith(f"{column}.") for column in columns)


def _doubled(
    source: Source, names: Sequence[str], columns: Sequence[str] | None
) -> dict[str, Unreadable]:
    """Columns whose name is another's too. Raises IngestError where one of them is needed."""
    doubled = sorted({name for name in names if names.count(name) > 1})
    roots = _roots(names, columns)
    for name in doubled:
        if roots is not None and name in roots:
            raise IngestError(f"{source.location} has two columns named {name!r}: rename one")
    return {name: Unreadable("doubled_column", "two columns have this name") for name in doubled}


def _broken(
    batches: Callable[[Sequence[str]], Iterator[Any]], leaves: Sequence[str], *, whole: bool = False
) -> dict[str, Unreadable]:
    """Leaves whose data cannot be decoded: in the first rows, or anywhere if `whole`."""
    import pyarrow as pa

    def fault(wanted: Sequence[str]) -> Unreadable | None:
        try:
            for _ in batches(wanted):
                if not whole:
                    break
        except (pa.ArrowException, OSError) as error:
            return Unreadable("unreadable_value", one_line(error))
        return None

    if not whole and fault(leaves) is None:
        return {}
    return {leaf: found for leaf in leaves if (found := fault([leaf]))}


def _unreadable(source: Source, broken: dict[str, Unreadable], error: BaseException) -> IngestError:
    what = f"{source.location} is no readable Parquet"
    for leaf, found in broken.items():
        what = f"column {_WRAPPERS.sub('', leaf)} of {source.location} cannot be read"
        return IngestError(f"{what}: {found.why}")
    return IngestError(f"{what}: {one_line(error)}")


def _rows(
    batches: Iterator[Any], lost: dict[str, Unreadable], *, is_strict: bool, before: int = 0
) -> RowStream:
    """`lost`: columns that are shown, and cannot be read. Strict: nor can a row with one."""
    number = before
    for batch in batches:
        cells: dict[str, list[object]] = {}
        for index, name in enumerate(batch.schema.names):
            if name not in lost:
                cells[name] = _values(batch.column(index))
        for n in range(batch.num_rows):
            number += 1
            row = {name: values[n] for name, values in cells.items()} | lost
            bad = next(filter(None, map(_first_unreadable, row.values())), None)
            if is_strict and bad is not None:
                yield BadRow(number, bad.reason, bad.why)
            else:
                yield SourceRow(number, row)


def _first_unreadable(value: object) -> Unreadable | None:
    if isinstance(value, Unreadable):
        return value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next(filter(None, map(_first_unreadable, inner)), None)


def _values(array: Any) -> list[object]:
    """The values, Unreadable where Python has none for one (the year 27000, a made-up zone)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return list(array.to_pylist(maps_as_pydicts="strict"))
    except Exception:  # whatever is raised by dates, zones, text that is none: go deeper
        pass
    if pa.types.is_struct(array.type):
        names = [array.type.field(n).name for n in range(array.type.num_fields)]
        parts = dict(zip(names, map(_values, array.flatten()), strict=True))
        is_there = array.is_valid().to_pylist()
        return [
            {name: values[n] for name, values in parts.items()} if is_there[n] else None
            for n in range(len(array))
        ]
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        inner = _values(array.flatten())
        lengths = pc.list_value_length(array).to_pylist()
        ends = pairwise([0, *accumulate(length or 0 for length in lengths)])
        spans = zip(lengths, ends, strict=True)
        return [None if n is None else inner[start:end] for n, (start, end) in spans]
    return [_value(scalar) for scalar in array]


def _value(scalar: Any) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return Unreadable("invalid_utf8", "invalid UTF-8")
    except Exception as error:  # pytz, datetime and decimal each raise their own
        return Unreadable("unreadable_value", f"a value cannot be read: {one_line(error)}")


def one_line(error: BaseException) -> str:
    """What the error says, in one line of bounded length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MAX_ERROR_CHARS else f"{text[:MAX_ERROR_CHARS]}..."
