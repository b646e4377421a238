"""How large a corpus is, and what of it: by table, run, kind of rationale, student and file.

Invariant: bytes of files are those the store has; those of a run are its rows' share of their
tables' parts, for rows of many runs lie in one part.

    measure(Corpus("corpus")).tables[0] == TableSize(table="problems", num_parts=1, ...)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from infra.care.facts import facts, model_paths
from infra.care.stock import KINDS, Kind, Stock, take_stock
from infra.storage.corpus import Corpus
from infra.storage.manifest import Manifest
from sql.database import Database
from tasks.schemas import TABLES


@dataclass(frozen=True, kw_only=True)
class TableSize:
    """`num_tokens`: length of its texts; `paid_tokens`: sent and generated to make its rows."""

    table: str
    num_parts: int
    num_rows: int
    num_bytes: int
    num_tokens: int
    paid_tokens: int
    superseded_bytes: int


@dataclass(frozen=True, kw_only=True)
class RunSize:
    """Rows that it stored first; other runs may have them too. `num_bytes` is a share."""

    run_id: str
    recipe: str  # empty: of no run that is stored
    seen_at: str
    num_rows: int
    num_bytes: int
    num_requests: int
    paid_tokens: int
    weights_bytes: int


@dataclass(frozen=True, kw_only=True)
class KindSize:
    kind: str
    num_rows: int
    num_tokens: int
    text_bytes: int


@dataclass(frozen=True, kw_only=True)
class Sizes:
    tables: tuple[TableSize, ...]
    runs: tuple[RunSize, ...]
    kinds: tuple[KindSize, ...]
    students: Mapping[str, int]  # path -> bytes
    files: Mapping[Kind, int]  # what for -> bytes

    @property
    def num_bytes(self) -> int:
        return sum(self.files.values())


def measure(corpus: Corpus) -> Sizes:
    """Raises CorpusError: no corpus, or its store is away."""
    manifest = corpus.manifest()
    with facts(corpus, manifest) as database:
        stock = take_stock(corpus.store, manifest, models=model_paths(database))
        tables = _tables(manifest, stock, database)
        return Sizes(
            tables=tables,
            runs=_runs(tables, stock, database),
            kinds=tuple(
                KindSize(**row) for row in database.run_file("care", "rows_by_kind").records()
            ),
            students=stock.units("weights"),
            files={kind: size for kind in KINDS if (size := stock.bytes_of(kind))},
        )


def _tables(manifest: Manifest, stock: Stock, database: Database) -> tuple[TableSize, ...]:
    rows = {row["table_name"]: row for row in database.run_file("care", "rows_by_table").records()}
    replaced: dict[str, int] = defaultdict(int)
    for unit, size in stock.units("superseded").items():
        replaced[unit.partition("/")[0]] += size
    return tuple(
        TableSize(
            table=table,
            num_parts=len(live := manifest.parts.get(table, ())),
            num_rows=sum(part.rows for part in live),
            num_bytes=sum(part.bytes for part in live),
            num_tokens=rows[table]["num_tokens"] if table in rows else 0,
            paid_tokens=rows[table]["paid_tokens"] if table in rows else 0,
            superseded_bytes=replaced[table],
        )
        for table in TABLES
    )


def _runs(tables: tuple[TableSize, ...], stock: Stock, database: Database) -> tuple[RunSize, ...]:
    each = {one.table: one.num_bytes / max(1, one.num_rows) for one in tables}
    stored: dict[str, dict[str, float]] = {}
    for row in database.run_file("care", "rows_by_run").records():
        sums = stored.setdefault(row["run_id"], defaultdict(float))
        sums["num_bytes"] += row["num_rows"] * each[row["table_name"]]
        for name in ("num_rows", "num_requests", "paid_tokens"):
            sums[name] += row[name]
    weights: dict[str, int] = defaultdict(int)
    bytes_of = stock.units("weights")
    for row in database.run_file("care", "models").records():
        weights[row["run_id"]] += bytes_of.get(row["path"], 0)
    runs = {row["run_id"]: row for row in database.run_file("care", "all_runs").records()}
    return tuple(
        RunSize(
            run_id=run_id,
            recipe=runs[run_id]["recipe"] if run_id in runs else "",
            seen_at=str(runs[run_id]["seen_at"])[:19] if run_id in runs else "",
            weights_bytes=weights[run_id],
            **{name: round(stored.get(run_id, {}).get(name, 0)) for name in _SUMMED},
        )
        for run_id in [*runs, *sorted(stored.keys() - runs.keys())]
    )


_SUMMED = ("num_rows", "num_bytes", "num_requests", "paid_tokens")
