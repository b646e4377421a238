"""Rows as numbers, so that those of two corpora can be compared whatever stores they are in.

Invariant: two rows of one id say the same exactly if their `content` is equal; `measured` is what
may differ between two times the same row was made: when, by which run, at what cost, and fractions,
whose last digits depend on the machine. Pure: made from the schemas, as the views are.

    digests("scores") -> "select ('0x' || score_id)::ubigint as id, hash(...) as content, ..."
"""

from __future__ import annotations

from sql.views import columns_of
from tasks.schemas import STAMP, TABLES, Usage

# Told by a row, not by what it is: where it was read first, on what it was made, what it took.
CIRCUMSTANCES: dict[str, frozenset[str]] = {
    "problems": frozenset({"source", "subject", "line"}),
    "runs": frozenset(
        {"versions", "num_problems", "num_candidates", "prompts", "settings", "prompt_texts"}
    ),
    "rationales": frozenset({"engine"}),
    "models": frozenset(
        {"versions", "engine", "zero_stage", "optimizer", "batching", "num_attempts", "device",
         "world_size", "peak_memory_bytes", "settings"}
    ),
    "training_steps": frozenset({"peak_memory_bytes"}),
}  # fmt: skip
_USAGE = frozenset(Usage.__dataclass_fields__)


def content_columns(table: str) -> list[str]:
    """Columns in which two rows of one id have to agree."""
    return _split(table)[0]


def digests(table: str) -> str:
    """A query: one row per stored row of `table`; three unsigned 64-bit integers."""
    key = TABLES[table].key
    content, measured = (", ".join(map(_quoted, columns)) for columns in _split(table))
    return (
        f"select ('0x' || {key})::ubigint as id, hash({content}) as content,"
        f" hash({measured}) as measured from raw_{table}"
    )


def rows_by_id(table: str) -> str:
    """A query: the rows of `table` whose ids are in the JSON list getvariable('ids')."""
    key = TABLES[table].key
    return (
        f"select * from raw_{table} where {key} in"
        " (select unnest(from_json(getvariable('ids')::json, '[\"varchar\"]')))"
    )


def _quoted(column: str) -> str:
    return f'"{column}"'  # `by` is a word of SQL


def _split(table: str) -> tuple[list[str], list[str]]:
    columns = columns_of(TABLES[table])
    told = CIRCUMSTANCES.get(table, frozenset()) | STAMP.keys()
    if issubclass(TABLES[table], Usage):
        told |= _USAGE
    told -= {TABLES[table].key}
    is_measured = {name: name in told or "double" in kind for name, kind in columns.items()}
    content = [name for name in columns if not is_measured[name]]
    return content, [name for name in columns if is_measured[name]]
