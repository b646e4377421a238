"""What a corpus can do without: rows and weights of runs that are not kept, files nobody needs.

Invariants: a row goes only if a run that goes stored it, no run that stays has it too, and nothing
that stays was made from it; a run whose student a kept one evaluates stays. All tables change in
one step, so a kill leaves the corpus as it was or pruned, never between. What is planned is what is
freed, to the byte: parts are written to count them.

    plan(corpus, Policy(keep_runs=2)).num_bytes == 1234567
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from infra.care.facts import facts, model_paths
from infra.care.ids import Ids, is_outside, part_ids
from infra.care.stock import Kind, Stock, take_stock
from infra.care.words import amount
from infra.runs.weights import WEIGHTS
from infra.storage import Corpus, CorpusError, CorpusWriter
from infra.storage.manifest import Manifest, Part
from infra.storage.names import checked_name
from infra.storage.parquet_parts import filtered_part
from infra.storage.rows import id_number
from infra.storage.soundness import Advance
from infra.storage.store import Store
from sql.database import Database
from tasks.schemas import TABLES, Model

LEFTOVERS: tuple[Kind, ...] = (
    "unlisted", "unfinished", "unclaimed weights", "checkpoints", "quarantine", "logs",
)  # fmt: skip
COUNTED: tuple[Kind, ...] = ("parts", "superseded", "weights", *LEFTOVERS)
Parts = Mapping[str, Sequence[Part]]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A run stays if it is one of the `keep_runs` seen last, or was seen after `since`, or is none
    of `runs` (ids or their starts); without any of these all stay. `since`: UTC, ISO 8601.
    `leftovers`: also files that no run needs."""

    keep_runs: int | None = None
    since: str | None = None
    runs: tuple[str, ...] = ()
    leftovers: bool = False


@dataclass(frozen=True, kw_only=True)
class RunFate:
    run_id: str
    recipe: str
    seen_at: str
    stays: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class LostRows:
    """Of one table; what they were paid."""

    table: str
    num_rows: int
    num_requests: int
    num_tokens: int
    device_hours: float


@dataclass(frozen=True, kw_only=True)
class Prune:
    runs: tuple[RunFate, ...]
    rows: tuple[LostRows, ...]
    files: Mapping[Kind, int]  # what goes, bytes
    units: tuple[str, ...]  # files and folders beside the parts that go
    gone: Mapping[str, Any] = field(repr=False)  # table -> sorted ids, as the journal numbers them

    @property
    def num_bytes(self) -> int:
        return sum(self.files.values())

    @property
    def pruned(self) -> list[str]:
        return [run.run_id for run in self.runs if not run.stays]

    @property
    def price(self) -> str:
        """What it costs to make it again; empty where nothing was paid."""
        requests, tokens = (
            sum(r.num_requests for r in self.rows),
            sum(r.num_tokens for r in self.rows),
        )
        hours = sum(row.device_hours for row in self.rows)
        told = [f"{amount(requests, 'request')} and {tokens} tokens"] if requests or tokens else []
        told += [f"{hours:.1f} device hours of training"] if hours else []
        return ", ".join(told)


def plan(corpus: Corpus, policy: Policy, advance: Advance | None = None) -> Prune:
    """What would go; nothing is changed. Raises CorpusError where the corpus is not whole: what is
    missing cannot say what it needs."""
    corpus.sound_parts(advance)
    manifest = corpus.manifest()
    with facts(corpus, manifest) as database:
        runs = _fates(database, policy)
        database.set_variables(pruned=json.dumps([run.run_id for run in runs if not run.stays]))
        gone = _ids(database)
        rows = tuple(
            LostRows(table=row.pop("table_name"), **row)
            for row in database.run_file("care", "unneeded_totals").records()
        )
        stock = take_stock(corpus.store, manifest, models=model_paths(database))
        units = _units(database, stock, gone, policy)
    files: dict[Kind, int] = {
        "parts": _shrinkage(corpus.store, manifest, gone),
        "superseded": stock.bytes_of("superseded"),
    }
    for file in stock.files:
        if file.unit in units:
            files[file.kind] = files.get(file.kind, 0) + file.size
    return Prune(
        runs=runs, rows=rows, gone=gone, units=tuple(sorted(units)),
        files={kind: size for kind, size in files.items() if size},
    )  # fmt: skip


def apply(corpus: Corpus, policy: Policy, planned: Prune, advance: Advance | None = None) -> int:
    """Do what `plan` said; the bytes that were freed.

    Raises CorpusError: somebody writes the corpus, or it is another one by now.
    """
    before = _counted(corpus)
    # Nobody waits for replaced parts: whoever prunes wants the room now.
    with CorpusWriter(corpus.store, grace_s=0) as writer:
        again = plan(corpus, policy, advance)
        if writer.warnings or (again.pruned, again.units) != (planned.pruned, planned.units):
            raise CorpusError(f"{corpus.store}: changed meanwhile, nothing was done; look again")
        writer.replace_parts(_left(corpus.store, writer.manifest, again.gone))
        _remove(corpus.store, again.units)
    return before - _counted(corpus)


# --- runs


def _fates(database: Database, policy: Policy) -> tuple[RunFate, ...]:
    runs = database.run_file("care", "all_runs").records()
    stays: dict[str, str] = {}
    named = _named([run["run_id"] for run in runs], policy.runs)
    for number, run in enumerate(runs):
        if policy.keep_runs is None and policy.since is None and run["run_id"] not in named:
            stays[run["run_id"]] = "not asked to go"
        elif policy.keep_runs is not None and number < policy.keep_runs:
            stays[run["run_id"]] = f"one of the latest {policy.keep_runs}"
        elif policy.since is not None and _time(run["seen_at"]) >= _time(policy.since):
            stays[run["run_id"]] = "young enough"
    by_id = {run["run_id"]: run for run in runs}
    waiting = list(stays)
    while waiting:
        run_id = waiting.pop()
        for needed in by_id[run_id]["evaluates"]:
            if needed in by_id and needed not in stays:
                stays[needed] = f"its student is evaluated by {run_id}"
                waiting.append(needed)
    _assert_whole(by_id, stays)
    return tuple(
        RunFate(
            run_id=run["run_id"], recipe=run["recipe"], seen_at=str(run["seen_at"])[:19],
            stays=run["run_id"] in stays, why=stays.get(run["run_id"], ""),
        )
        for run in runs
    )  # fmt: skip


def _named(runs: Sequence[str], starts: Sequence[str]) -> set[str]:
    found = {start: [run for run in runs if run.startswith(start)] for start in starts}
    for start, some in found.items():
        if len(some) != 1:
            fault = "is the start of several runs" if some else "is no run of this corpus"
            raise CorpusError(f"--run {start}: {fault}; `litecot corpus size` lists them")
    return {run for (run,) in found.values()}


def _time(said: object) -> datetime:
    time = datetime.fromisoformat(str(said))
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _assert_whole(runs: Mapping[str, Mapping[str, Any]], stays: Mapping[str, str]) -> None:
    """A run that does not know all its problems does not know which rows it needs."""
    for run_id in stays if len(stays) < len(runs) else ():
        if missing := runs[run_id]["num_missing"]:
            raise CorpusError(
                f"run {run_id} ({runs[run_id]['recipe']}) stays, and {amount(missing, 'problem')} "
                "of it were lost, so nobody can tell which rows it needs; run its recipe first"
            )


# --- rows


def _ids(database: Database) -> dict[str, Any]:
    import numpy as np

    found: dict[str, array[int]] = {}
    for row in database.stream("from unneeded_rows"):
        found.setdefault(row["table_name"], array("q")).append(id_number(row["id"]))
    return {t: np.sort(np.frombuffer(ids, dtype=np.int64)) for t, ids in found.items()}


def _is_touched(store: Store, table: str, part: Part, gone: Ids) -> bool:
    import numpy as np

    return bool(np.isin(part_ids(store, table, part), gone).any())


def _left(
    store: Store, manifest: Manifest, gone: Mapping[str, Any], *, is_dry: bool = False
) -> Parts:
    """The parts without the rows that go; those that lose none as they are."""
    parts: dict[str, Sequence[Part]] = {**manifest.parts}
    for table, ids in gone.items():
        left = [
            filtered_part(store, TABLES[table], part, is_outside(ids), is_dry=is_dry)
            if _is_touched(store, table, part, ids)
            else part
            for part in manifest.parts.get(table, ())
        ]
        parts[table] = [part for part in left if part is not None]
    return parts


def _shrinkage(store: Store, manifest: Manifest, gone: Mapping[str, Any]) -> int:
    left = _left(store, manifest, gone, is_dry=True)
    return _bytes(manifest.parts) - _bytes(left)


def _bytes(parts: Parts) -> int:
    return sum(part.bytes for live in parts.values() for part in live)


# --- files


def _units(database: Database, stock: Stock, gone: Mapping[str, Any], policy: Policy) -> set[str]:
    """Files and folders beside the parts that go."""
    import numpy as np

    models = database.run_file("care", "models").records()
    going = set(gone.get(Model.table, np.array([], dtype=np.int64)).tolist())
    kept = {row["path"] for row in models if id_number(row["model_id"]) not in going}
    units = {row["path"] for row in models} - kept
    for unit in units:
        checked_name(unit, of="a row of raw_models", below=WEIGHTS)
    units &= stock.units("weights").keys()
    return units | (stock.units(*LEFTOVERS).keys() if policy.leftovers else set())


def _remove(store: Store, units: Iterable[str]) -> None:
    """Files, and folders with all that is in them."""
    files = store.listed()
    for unit in units:
        if unit in files:
            store.delete(unit)
        else:
            store.remove(unit)


def _counted(corpus: Corpus) -> int:
    """Bytes of what pruning is about: not the manifest, the lock and the journal."""
    return take_stock(corpus.store, corpus.manifest()).bytes_of(*COUNTED)
