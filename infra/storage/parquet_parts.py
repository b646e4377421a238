"""The only place that writes Parquet: one part from rows, one part from several, and its check.

Invariant: a part appears under its name whole or not at all, with exactly its table's schema;
rows keep their order through merging.

    part-000000000128-9c0e12-3fa2c1.parquet    rows up to journal entry 128, layout 9c0e12
"""

from __future__ import annotations

import io
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from io import RawIOBase
from itertools import chain
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from infra.storage.checksums import SummingFile, checksum_of
from infra.storage.errors import CorpusError
from infra.storage.manifest import Part
from infra.storage.rows import id_number
from infra.storage.store import FileState, Store
from tasks.schemas import STAMP, TABLES, Row, arrow_schema, content_id

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROW_GROUP_BYTES = 16 * 2**20  # in memory; bounds what a merge or a reader holds
BATCH_ROWS = 512
OTHER_BYTES = "holds other bytes than were written"


Shards = tuple[int | None, ...]  # sorted, None (of no shard) last


def write_part(
    store: Store, name: str, table: pa.Table, *, seq: int, shards: Iterable[int | None] = ()
) -> Part:
    """One durable part of the table `name` with the rows of `table` in their order."""
    stem = f"part-{seq:012d}"
    return _write(store, name, stem, table.schema, lambda: iter([table]), shards=_sorted(shards))


def read_entries(bodies: Sequence[str]) -> dict[str, tuple[pa.Table, list[int]]]:
    """Journal entries (infra.storage.rows.encode) as tables, empty ones left out.

    With each table the numbers of the entries that have rows of it.

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
        entries = read.column(name).combine_chunks()
        rows = entries.flatten()
        if len(rows):
            columns = map(_as_stored, rows.flatten(), schema.types)
            counts = enumerate(entries.value_lengths().to_pylist())
            having = [number for number, count in counts if count]
            found[name] = pa.Table.from_arrays(list(columns), schema=schema), having
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
    """One durable part with the rows of `parts`, in order; they stay where they are, and it is
    apart until `Store.exchange`.

    Raises CorpusError where one has rotted: its checksum would be lost with it.
    """
    schema = arrow_schema(row_type)
    stem = "-".join(parts[-1].name.split("-")[:2])
    rows = lambda: _row_groups((_whole(store, row_type.table, p) for p in parts), schema)  # noqa: E731
    shards = _sorted(shard for part in parts for shard in part.shards)
    return _write(store, row_type.table, stem, schema, rows, shards=shards, apart=True)


def filtered_part(
    store: Store,
    row_type: type[Row],
    part: Part,
    stays: Callable[[list[str]], Sequence[bool]],
    *,
    of: Store | None = None,
    is_dry: bool = False,
) -> Part | None:
    """One durable part of the current layout with the rows of `part` (a part `of` that store, by
    default of this one) whose ids `stays`, in order; None where no row does. It is apart until
    CorpusWriter.replace_parts.

    `is_dry`: nothing is written; only size, rows and stages of what is returned are true.
    Raises CorpusError where `part` has rotted.
    """
    schema, stem = arrow_schema(row_type), "-".join(part.name.split("-")[:2])

    def rows() -> Iterator[pa.Table]:
        for group in _row_groups([_whole(of or store, row_type.table, part)], schema):
            mask = stays(group.column(row_type.key).to_pylist())
            if left := group.filter(_mask(mask)):
                yield left

    groups = rows()
    if (first := next(groups, None)) is None:
        return None
    all_ = lambda: chain([first], groups)  # noqa: E731
    if is_dry:
        size = _Size()
        _, made = _fill(size, schema, all_)
        return replace(part, bytes=size.bytes, rows=made.total(), made=dict(made))
    return _write(store, row_type.table, stem, schema, all_, shards=part.shards, apart=True)


def _mask(stays: Sequence[bool]) -> pa.Array:
    import pyarrow as pa

    return pa.array(stays, pa.bool_())


class _Size(io.RawIOBase):
    """Counts what is written to it."""

    bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.bytes += (size := memoryview(content).nbytes)
        return size

    def tell(self) -> int:
        return self.bytes


def _whole(store: Store, table: str, part: Part) -> bytes:
    """All bytes of a part, which are those that were written."""
    name = f"{table}/{part.name}"
    content = store.read(name)
    if content is None or part.checksum not in ("", checksum_of(content)):
        fault = "is gone" if content is None else OTHER_BYTES
        raise CorpusError(f"{store.where(name)}: {fault}; {remedy(part)}")
    return content


def remedy(part: Part) -> str:
    """What to do about a part that cannot be used."""
    return (
        f"run the recipe again: it sets the file aside and makes its {part.rows} row"
        f"{'s' * (part.rows != 1)} again"
    )


def part_fault(
    store: Store, name: str, part: Part, state: FileState | None, *, deep: bool
) -> str | None:
    """What is wrong with a part whose file is in `state`, None if nothing is.

    All its bytes are summed; where an earlier version kept no checksum, the footer is looked at,
    and if `deep` every page. Raises CorpusError where the store does not answer.
    """
    if state is None:
        return "is gone"
    if state.size != part.bytes:
        return f"is {state.size} bytes long instead of {part.bytes}"
    try:
        if part.checksum:
            return None if store.checksum(name) == part.checksum else OTHER_BYTES
        return _parquet_fault(store, name, part, deep=deep)
    except FileNotFoundError:
        return "is gone"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"


def _parquet_fault(store: Store, name: str, part: Part, *, deep: bool) -> str | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(store.open(name), page_checksum_verification=deep) as file:
            if file.metadata.num_rows != part.rows:
                return f"holds {file.metadata.num_rows} rows instead of {part.rows}"
            for _ in file.iter_batches(BATCH_ROWS) if deep else ():
                pass
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        return f"cannot be read ({str(error).splitlines()[0]})"
    return None


def schema_fault(store: Store, table: str, name: str) -> str | None:
    """What of a part's columns is not as tasks/schemas.py has it; a column that came later may be
    missing. Raises CorpusError where the store does not answer."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if table not in TABLES:
        return f"is of a table {table} that this version of litecot does not know; upgrade litecot"
    try:
        with pq.ParquetFile(store.open(name)) as file:
            found = file.schema_arrow
    except (OSError, pa.ArrowException) as error:
        return f"cannot be read ({str(error).splitlines()[0]})"
    wanted = arrow_schema(TABLES[table])
    for column in found:
        if column.name not in wanted.names:
            return f"has a column {column.name} that this version does not know; upgrade litecot"
        if (meant := wanted.field(column.name).type) != column.type:
            return f"its column {column.name} is {column.type} instead of {meant}"
    lacking = [c for c in required_columns(TABLES[table]) if c not in found.names]
    return f"has no column {', '.join(lacking)}" if lacking else None


def required_columns(row_type: type[Row]) -> tuple[str, ...]:
    """Columns that no row is without, in whatever version it was stored."""
    hints = get_type_hints(row_type)
    own = [f.name for f in fields(row_type) if type(None) not in get_args(hints[f.name])]
    return (row_type.key, *own, *(name for name in STAMP if name != row_type.key))


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
    *,
    shards: Shards,
    apart: bool = False,
) -> Part:
    name = f"{stem}-{layout(schema)}-{secrets.token_hex(3)}.parquet"
    scratch = store.scratch(f"{table}/{name}")
    with scratch.open("wb") as file:
        summing, made = _fill(file, schema, row_groups)
    size = scratch.stat().st_size
    etag = store.publish(f"{table}/{name}", apart=apart)
    return Part(
        name=name, rows=made.total(), bytes=size, checksum=summing.checksum, etag=etag,
        shards=shards, made=dict(made),
    )  # fmt: skip


def _fill(
    file: Any, schema: pa.Schema, row_groups: Callable[[], Iterator[pa.Table]]
) -> tuple[SummingFile, Counter[str]]:
    summing = SummingFile(file)
    made: Counter[str] = Counter()
    with _writer(summing, schema) as writer:
        for group in row_groups():
            writer.write_table(group)
            made += _rows_by_fingerprint(group)
    return summing, made


def _rows_by_fingerprint(group: pa.Table) -> Counter[str]:
    counted = group.column("stage_fingerprint").value_counts().to_pylist()
    return Counter({str(one["values"]): one["counts"] for one in counted})


def _sorted(shards: Iterable[int | None]) -> Shards:
    return tuple(sorted(set(shards), key=lambda shard: (shard is None, shard)))


def _writer(file: RawIOBase, schema: pa.Schema) -> pq.ParquetWriter:
    import pyarrow.parquet as pq

    return pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True)


def _row_groups(sources: Iterable[bytes], schema: pa.Schema) -> Iterator[pa.Table]:
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for batch in _batches(sources):
        waiting.append(_cast(pa.Table.from_batches([batch]), schema))
        if sum(table.nbytes for table in waiting) >= ROW_GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _batches(sources: Iterable[bytes]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for source in sources:
        content = pa.BufferReader(source)
        with pq.ParquetFile(content, page_checksum_verification=True) as file:
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
