"""Where a query's rows go: the terminal or a file, as a table, CSV, JSON or Parquet.

Invariant: a file appears whole or not at all, never over another one unless that was asked for, and
a batch of rows is in memory at a time, whatever their number.

    output_of(None, Path("kept.parquet"), force=False)  ->  Output(format="parquet", to=..., ...)
"""

from __future__ import annotations

import errno
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.cli import display
from flows.cli.spelling import unique_names
from flows.progress.text import say
from infra.care.words import size
from sql.untrusted import arrow_untrusted, bounded_memory, query_untrusted, stream_untrusted
from tasks.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from sql.database import Database

FORMATS = (*display.FORMATS, "parquet")
SUFFIXES = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".txt": "table"}
ROW_GROUP_BYTES = 32 * 2**20  # in memory


class OutputError(UsageError):
    """A file cannot be written as asked: one line naming it and the remedy."""


class NoRoomError(OutputError):
    """No space left: nothing is wrong with the command."""

    exit_code = 1


@dataclass(frozen=True, kw_only=True)
class Output:
    """`to` is None for the terminal or a pipe."""

    format: str
    to: Path | None = None
    force: bool = False


def output_of(format: str | None, to: Path | None, *, force: bool = False) -> Output:
    """What the options ask for. Raises OutputError before anything is read."""
    if format is not None and format not in FORMATS:
        raise OutputError(f"--format {format}: choose one of {', '.join(FORMATS)}")
    if to is None:
        if format == "parquet":
            raise OutputError("--format parquet is no text: add --to FILE")
        return Output(format=format or "table")
    chosen = format or SUFFIXES.get(to.suffix.lower())
    if chosen is None:
        raise OutputError(
            f"{to}: end it in {', '.join(SUFFIXES)}, or say --format {' | '.join(FORMATS)}"
        )
    check_target(to, force=force)
    return Output(format=chosen, to=to, force=force)


def check_target(to: Path, *, force: bool) -> None:
    """Raises OutputError where no file can be made there."""
    if "://" in str(to) or str(to).startswith("s3:/"):
        raise OutputError(f"{to}: name a file of this machine")
    if to.is_dir():
        raise OutputError(f"{to}: is a folder; name a file in it")
    if not to.parent.is_dir():
        raise OutputError(f"{to}: there is no folder {to.parent}; make it first")
    if to.exists() and not force:
        raise OutputError(f"{to}: is there already; name another file, or add --force")


def write_query(database: Database, text: str, output: Output, *, memory_gib: float) -> int:
    """Ask and write; how many rows. Raises OutputError, QueryRefusedError, QueryFailedError."""
    with bounded_memory(memory_gib):
        if output.to is None:
            return _print(database, text, output.format, memory_gib)
        with whole_file(output.to, force=output.force) as growing:
            num_rows = _write(database, text, output.format, growing, memory_gib)
    say_written(output.to, num_rows)
    return num_rows


def say_written(file: Path, num_rows: int) -> None:
    """On stderr: stdout is for rows."""
    rows = f"{num_rows} row{'s' * (num_rows != 1)}"
    say(f"{file}: {rows}, {size(file.stat().st_size)}", file=sys.stderr)


def _print(database: Database, text: str, format: str, memory_gib: float) -> int:
    if format == "table":
        result = query_untrusted(database, text, memory_gib=memory_gib)
        display.print_result(result, format)
        return len(result.rows)
    found = stream_untrusted(database, text, memory_gib=memory_gib)
    counted = _Counted(found.batches)
    display.print_batches(found.columns, counted, format)
    return counted.num_rows


def _write(database: Database, text: str, format: str, to: Path, memory_gib: float) -> int:
    if format == "parquet":
        with arrow_untrusted(database, text, memory_gib=memory_gib) as reader:
            return write_parquet(reader, to)
    with to.open("w", encoding="utf-8", newline="") as stream:
        if format == "table":
            result = query_untrusted(database, text, memory_gib=memory_gib)
            display.print_result(result, format, stream)
            return len(result.rows)
        found = stream_untrusted(database, text, memory_gib=memory_gib)
        counted = _Counted(found.batches)
        display.print_batches(found.columns, counted, format, stream)
        return counted.num_rows


class _Counted:
    def __init__(self, batches: Iterable[Sequence[Sequence[Any]]]) -> None:
        self._batches = batches
        self.num_rows = 0

    def __iter__(self) -> Iterator[Sequence[Sequence[Any]]]:
        for batch in self._batches:
            self.num_rows += len(batch)
            yield batch


def write_parquet(reader: pa.RecordBatchReader, to: Path) -> int:
    """All batches in row groups of some MiB; how many rows. Raises OutputError for a type that
    Parquet has not."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = unique_names(reader.schema.names)
    schema = pa.schema([field.with_name(n) for field, n in zip(reader.schema, names, strict=True)])
    num_rows, waiting = 0, []
    try:
        with pq.ParquetWriter(to, schema, compression="zstd") as writer:
            for batch in reader:
                waiting.append(batch.rename_columns(names))
                num_rows += batch.num_rows
                if sum(one.nbytes for one in waiting) >= ROW_GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(waiting, schema=schema))
                    waiting = []
            if waiting:
                writer.write_table(pa.Table.from_batches(waiting, schema=schema))
    except pa.ArrowNotImplementedError as error:
        raise OutputError(
            f"Parquet cannot hold a column of the result ({str(error).splitlines()[0]}); make it "
            "text: column::varchar"
        ) from error
    return num_rows


@contextmanager
def whole_file(to: Path, *, force: bool = False) -> Iterator[Path]:
    """A path to write to, which is renamed to `to` at the end and deleted where it fails.

    Raises OutputError: something is there already, or the disk refuses.
    """
    check_target(to, force=force)
    growing = to.with_name(f".{to.name[:80]}.{secrets.token_hex(4)}.tmp")
    try:
        yield growing
        _sync(growing)
        if force:
            os.replace(growing, to)
        else:
            _rename_to_new(growing, to)
    except OSError as error:
        raise _refused(to, error) from error
    finally:
        for left in to.parent.glob(f"{growing.name}*"):  # DuckDB puts a log beside its file
            left.unlink(missing_ok=True)


def _rename_to_new(growing: Path, to: Path) -> None:
    try:
        os.link(growing, to)  # unlike a rename it takes no place that somebody just took
    except FileExistsError:
        raise
    except OSError:  # a disk without hard links
        check_target(to, force=False)
        os.replace(growing, to)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _refused(to: Path, error: OSError) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoRoomError(f"{to}: no space left on its disk; free some, then ask again")
    if isinstance(error, FileExistsError):
        return OutputError(f"{to}: is there already; name another file, or add --force")
    return OutputError(f"{to}: cannot be written ({error.strerror or error}); name another file")
