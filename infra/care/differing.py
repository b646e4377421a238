"""What two corpora do not share: rows by table, runs, and how the runs' settings differ.

Invariant: nothing is changed; equal corpora, compacted or not, wherever they are, do not differ.

    differ(Corpus("a"), Corpus("b")).tables[0] == TableDiff(table="problems", num_equal=256, ...)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.care.comparing import MAX_NAMED, compare, differences
from infra.care.facts import facts
from infra.storage.corpus import Corpus
from sql.database import Database
from tasks.schemas import TABLES


@dataclass(frozen=True, kw_only=True)
class TableDiff:
    """Counts of rows; `num_measured` say the same and were made at another time, cost or machine.
    `differing`: of some rows the columns in which they do."""

    table: str
    num_only_here: int
    num_only_there: int
    num_differing: int
    num_measured: int
    num_equal: int
    only_here: tuple[str, ...]
    only_there: tuple[str, ...]
    differing: Mapping[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class RunDiff:
    """`where`: here | there | both."""

    run_id: str
    recipe: str
    seen_at: str
    where: str


@dataclass(frozen=True, kw_only=True)
class SettingDiff:
    """Of the latest runs of one recipe, one in each corpus."""

    recipe: str
    setting: str
    here: Any
    there: Any


@dataclass(frozen=True, kw_only=True)
class Diff:
    tables: tuple[TableDiff, ...]
    runs: tuple[RunDiff, ...]
    settings: tuple[SettingDiff, ...]

    @property
    def is_equal(self) -> bool:
        """Whether no row is in one only or says something else."""
        return not any(t.num_only_here or t.num_only_there or t.num_differing for t in self.tables)


def differ(here: Corpus, there: Corpus) -> Diff:
    """Raises CorpusError: one is no corpus, or damaged."""
    for corpus in (here, there):
        corpus.sound_parts()
    with facts(here, here.manifest()) as one, facts(there, there.manifest()) as other:
        return Diff(
            tables=tuple(_table(one, other, table) for table in TABLES),
            runs=_runs(one, other),
            settings=_settings(one, other),
        )


def _table(one: Database, other: Database, table: str) -> TableDiff:
    compared = compare(one, other, table)
    return TableDiff(
        table=table,
        num_only_here=len(compared.only_here),
        num_only_there=len(compared.only_there),
        num_differing=len(compared.differing),
        num_measured=len(compared.measured),
        num_equal=compared.num_equal,
        only_here=_named(compared.only_here),
        only_there=_named(compared.only_there),
        differing=differences(one, other, compared),
    )


def _named(ids: Any) -> tuple[str, ...]:
    return tuple(f"{number:016x}" for number in ids[:MAX_NAMED].tolist())


def _runs(one: Database, other: Database) -> tuple[RunDiff, ...]:
    here, there = (
        {row["run_id"]: row for row in database.run_file("care", "all_runs").records()}
        for database in (one, other)
    )
    return tuple(
        RunDiff(
            run_id=run_id, recipe=run["recipe"], seen_at=str(run["seen_at"])[:19],
            where="both" if run_id in here and run_id in there else
            "here" if run_id in here else "there",
        )
        for run_id, run in {**there, **here}.items()
    )  # fmt: skip


def _settings(one: Database, other: Database) -> tuple[SettingDiff, ...]:
    here, there = _latest_settings(one), _latest_settings(other)
    return tuple(
        SettingDiff(recipe=recipe, setting=name, here=a.get(name), there=b.get(name))
        for recipe in sorted(here.keys() & there.keys())
        for a, b in [(here[recipe], there[recipe])]
        for name in sorted(a.keys() | b.keys())
        if a.get(name) != b.get(name)
    )


def _latest_settings(database: Database) -> dict[str, dict[str, Any]]:
    """Recipe -> dotted setting -> value, of its run that was seen last."""
    latest: dict[str, dict[str, Any]] = {}
    for row in database.run_file("care", "run_settings").records():
        if row["recipe"] not in latest:
            latest[row["recipe"]] = dict(_flat(json.loads(row["settings"])))
    return latest


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in settings.items():
        key = f"{prefix}{name}"
        found += _flat(value, f"{key}.") if isinstance(value, dict) else [(key, value)]
    return found
