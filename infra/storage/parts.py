"""The only place that writes Parquet: one part from rows, one part from several, and its check.

Invariant: a part appears under its name whole or not at all, with exactly its table's schema;
rows keep their order through merging.

    part-000000000128-9c0e12-3fa2c1.parquet    rows up to journal entry 128, layout 9c0e12
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infra.storage.manifest import Part, publish_file
from infra.storage.rows import Stored, id_number
from tasks.schemas import Row, arrow_schema, content_id

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROW_GROUP_BYTES = 16 * 2**20  # in memory; bounds what a merge or a reader holds
BATCH_ROWS = 512


def write_part(folder: Path, row_type: type[Row], rows: Sequence[Stored], *, seq: int) -> Part:
    """One durable part in `folder` with `rows` in their order."""
    import pyarrow as pa

    table = pa.Table.from_pylist(list(rows), schema=arrow_schema(row_type))
    return _write(folder, f"part-{seq:012d}", table.schema, lambda: iter([table]))


def merge_parts(folder: Path, row_type: type[Row], parts: Sequence[Part]) -> Part:
    """One durable part with the rows of `parts`, in order; they stay where they are."""
    schema = arrow_schema(row_type)
    paths = [folder / part.name for part in parts]
    stem = "-".join(parts[-1].name.split("-")[:2])
    return _write(folder, stem, schema, lambda: _row_groups(paths, schema))


def part_fault(path: Path, part: Part, *, deep: bool = False) -> str | None:
    """What is wrong with a part, None if nothing is. `deep` reads every page's checksum."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.stat().st_size != part.bytes:
            return f"is {path.stat().st_size} bytes long instead of {part.bytes}"
        with pq.ParquetFile(path, page_checksum_verification=deep) as file:
            if file.metadata.num_rows != part.rows:
                return f"holds {file.metadata.num_rows} rows instead of {part.rows}"
            for _ in file.iter_batches(BATCH_ROWS) if deep else ():
                pass
    except FileNotFoundError:
        return "is gone"
    except (OSError, pa.ArrowException) as error:
        return f"cannot be read ({str(error).splitlines()[0]})"
    return None


def stored_ids(path: Path, row_type: type[Row]) -> Iterator[int]:
    """The ids in a part, as the journal numbers them."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(65536, columns=[row_type.key]):
            yield from map(id_number, batch.column(0).to_pylist())


def layout(schema: pa.Schema) -> str:
    """6 hex characters, equal where column names and types are: what may be read together."""
    return content_id([[column.name, str(column.type)] for column in schema])[:6]


def _write(
    folder: Path, stem: str, schema: pa.Schema, tables: Callable[[], Iterator[pa.Table]]
) -> Part:
    folder.mkdir(exist_ok=True)
    path = folder / f"{stem}-{layout(schema)}-{secrets.token_hex(3)}.parquet"
    temporary = path.with_name(path.name + ".tmp")
    with _writer(temporary, schema) as writer:
        rows = 0
        for table in tables():
            writer.write_table(table)
            rows += table.num_rows
    size = temporary.stat().st_size
    publish_file(temporary, path)
    return Part(name=path.name, rows=rows, bytes=size)


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    import pyarrow.parquet as pq

    return pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)


def _row_groups(paths: Sequence[Path], schema: pa.Schema) -> Iterator[pa.Table]:
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for batch in _batches(paths):
        waiting.append(_cast(pa.Table.from_batches([batch]), schema))
        if sum(table.nbytes for table in waiting) >= ROW_GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _batches(paths: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    for path in paths:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(BATCH_ROWS)


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """`table` with the columns of `schema`; a column the part is too old to have is null."""
    import pyarrow as pa

    columns = [
        table.column(column.name).cast(column.type)
        if column.name in table.column_names
        else pa.nulls(table.num_rows, column.type)
        for column in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
