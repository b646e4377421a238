"""The only place that writes Parquet: one part from rows, one part from several, and its check.

Invariant: a part appears under its name whole or not at all, with exactly its table's schema;
rows keep their order through merging.

    part-000000000128-9c0e12-3fa2c1.parquet    rows up to journal entry 128, layout 9c0e12
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING

from infra.storage.manifest import Part
from infra.storage.rows import id_number
from infra.storage.store import Store
from tasks.schemas import TABLES, Row, arrow_schema, content_id

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROW_GROUP_BYTES = 16 * 2**20  # in memory; bounds what a merge or a reader holds
BATCH_ROWS = 512


def write_part(store: Store, name: str, table: pa.Table, *, seq: int) -> Part:
    """One durable part of the table `name` with the rows of `table` in their order."""
    return _write(store, name, f"part-{seq:012d}", table.schema, lambda: iter([table]))


def read_entries(bodies: Sequence[str]) -> dict[str, pa.Table]:
    """Journal entries (infra.storage.rows.encode) as tables, empty ones left out.

    By Arrow's JSON reader, not `pa.array`: that one imports pandas, 0.8 s of CPU at the first fold.
    """
    import pyarrow as pa
    from pyarrow import json as arrow_json

    lines = "\n".join(bodies).encode()
    schemas = {name: arrow_schema(row_type) for name, row_type in TABLES.items()}
    read = arrow_json.read_json(
        io.BytesIO(lines),
        read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        parse_options=arrow_json.ParseOptions(
            explicit_schema=pa.schema(
                [
                    (name, pa.list_(pa.struct([(c.name, _type_as_read(c.type)) for c in schema])))
                    for name, schema in schemas.items()
                ]
            ),
            unexpected_field_behavior="ignore",
        ),
    )
    found = {}
    for name, schema in schemas.items():
        rows = read.column(name).combine_chunks().flatten()
        if len(rows):
            columns = map(_as_stored, rows.flatten(), schema.types)
            found[name] = pa.Table.from_arrays(list(columns), schema=schema)
    return found


def _type_as_read(kind: pa.DataType) -> pa.DataType:
    """In the journal a map is the list of its entries, for Arrow reads none from JSON."""
    import pyarrow as pa

    if not pa.types.is_map(kind):
        return kind
    return pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))


def _as_stored(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Entries as the map they are."""
    import pyarrow as pa

    if not pa.types.is_map(kind):
        return column
    keys, values = column.values.flatten()
    return pa.MapArray.from_arrays(column.offsets, keys, values, mask=column.is_null())


def merge_parts(store: Store, row_type: type[Row], parts: Sequence[Part]) -> Part:
    """One durable part with the rows of `parts`, in order; they stay where they are."""
    schema = arrow_schema(row_type)
    sources = [f"{row_type.table}/{part.name}" for part in parts]
    stem = "-".join(parts[-1].name.split("-")[:2])
    rows = lambda: _row_groups((store.open(name) for name in sources), schema)  # noqa: E731
    return _write(store, row_type.table, stem, schema, rows)


def part_fault(
    store: Store, name: str, part: Part, *, size: int | None, deep: bool = False
) -> str | None:
    """What is wrong with a part whose file has `size`, None if nothing is.

    `deep` reads every page's checksum. Raises CorpusError where the store does not answer.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if size is None:
        return "is gone"
    if size != part.bytes:
        return f"is {size} bytes long instead of {part.bytes}"
    try:
        with pq.ParquetFile(store.open(name), page_checksum_verification=deep) as file:
            if file.metadata.num_rows != part.rows:
                return f"holds {file.metadata.num_rows} rows instead of {part.rows}"
            for _ in file.iter_batches(BATCH_ROWS) if deep else ():
                pass
    except FileNotFoundError:
        return "is gone"
    except (OSError, pa.ArrowException) as error:
        return f"cannot be read ({str(error).splitlines()[0]})"
    return None


def stored_ids(source: str | RawIOBase, row_type: type[Row]) -> Iterator[int]:
    """The ids in a part, as the journal numbers them."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(source) as file:
        for batch in file.iter_batches(65536, columns=[row_type.key]):
            yield from map(id_number, batch.column(0).to_pylist())


def layout(schema: pa.Schema) -> str:
    """6 hex characters, equal where column names and types are: what may be read together."""
    return content_id([[column.name, str(column.type)] for column in schema])[:6]


def _write(
    store: Store,
    table: str,
    stem: str,
    schema: pa.Schema,
    row_groups: Callable[[], Iterator[pa.Table]],
) -> Part:
    name = f"{stem}-{layout(schema)}-{secrets.token_hex(3)}.parquet"
    scratch = store.scratch(f"{table}/{name}")
    with _writer(scratch, schema) as writer:
        rows = 0
        for group in row_groups():
            writer.write_table(group)
            rows += group.num_rows
    size = scratch.stat().st_size
    store.publish(f"{table}/{name}")
    return Part(name=name, rows=rows, bytes=size)


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    import pyarrow.parquet as pq

    return pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)


def _row_groups(sources: Iterable[str | RawIOBase], schema: pa.Schema) -> Iterator[pa.Table]:
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for batch in _batches(sources):
        waiting.append(_cast(pa.Table.from_batches([batch]), schema))
        if sum(table.nbytes for table in waiting) >= ROW_GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _batches(sources: Iterable[str | RawIOBase]) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    for source in sources:
        with pq.ParquetFile(source, pre_buffer=True) as file:
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
