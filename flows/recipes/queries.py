"""The queries of stages from outside: each bound on an empty corpus before anything is paid for.

Invariant: what such a stage is given at last has the columns that its record takes; a recipe of
our stages alone connects to nothing.

A sample: query_faults(recipe) ==
["stage 'shout' (./mine.py): its query has no column 'text', which Chain needs"]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from typing import Any

from flows.recipes.order import origin_of
from flows.recipes.recipe import Recipe
from tasks.errors import UsageError
from tasks.stage import Record, Stage, StageConfig

TEXT = "VARCHAR"
KEYS = ("record_id", "problem_id")


def query_faults(recipe: Recipe) -> list[str]:
    """One line each, with the stage and its file."""
    outside = [stage for stage in recipe.all_stages() if stage.query]
    if not outside:
        return []
    from sql.database import connect  # DuckDB: only where there is something to ask

    with connect({}) as database:
        return [
            f"{origin_of(stage)}: its query {fault}"
            for stage in outside
            for fault in _faults(stage, recipe.settings_of(stage), database)
        ]


def _faults(stage: Stage[Any, Any], config: StageConfig, database: Any) -> Iterator[str]:
    from sql.pending import input_columns

    try:
        columns = input_columns(
            database, reads=stage.reads, query=stage.query, table=stage.writes.table,
            fingerprint="", config=config.for_query(), shard=None,
        )  # fmt: skip
    except UsageError as error:
        yield f"fails: {error}"
    else:
        yield from _misfits(stage.record, columns)


def _misfits(record: type[Record], columns: Sequence[tuple[str, str]]) -> Iterator[str]:
    """What is wrong with columns (name, type) that are to be the fields of `record`."""
    types = dict(columns)
    for name in KEYS:
        if types.get(name, TEXT) != TEXT:
            yield f"gives a column {name!r} that is {types[name]}, not text: cast it to varchar"
    needed, known = set(KEYS), set(types)
    if record.from_row.__func__ is Record.from_row.__func__:  # type: ignore[attr-defined]
        taken = [each for each in fields(record) if each.init]
        known = {each.name for each in taken}
        needed |= {
            each.name
            for each in taken
            if each.default is MISSING and each.default_factory is MISSING
        }
    for name in sorted(needed - set(types)):
        yield f"has no column {name!r}, which {record.__name__} needs"
    for name, number in Counter(name for name, _ in columns).items():
        if number > 1:
            yield f"has {number} columns {name!r}: name each its own"
    for name in types:
        if name not in known:
            yield f"has a column {name!r}, which is no field of {record.__name__}"
