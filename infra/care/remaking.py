"""What is lost with damaged parts, which recipe makes it again, and what that costs.

Role: the lines of `litecot corpus check` about parts. Invariant: what a lost row had cost is told
by the rows of its stage that can still be read, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from infra.care.words import amount
from infra.storage.manifest import Part
from infra.storage.soundness import Looked
from infra.storage.store import Store
from sql.database import Database
from tasks.schemas import TABLES, Invocation, Model, Usage


@dataclass(frozen=True, kw_only=True)
class Lost:
    """`num_unknown` of the rows made again are of a stage of which no row is left to tell."""

    num_rows: int = 0  # that a rerun makes again
    num_gone: int = 0  # that nothing makes again
    num_models: int = 0
    num_requests: float = 0.0
    num_tokens: float = 0.0
    num_unknown: int = 0

    def __str__(self) -> str:
        if not self.num_rows:
            return ""
        told = [f"about {self.num_requests:.0f} requests and {self.num_tokens:.0f} tokens"]
        told += [amount(self.num_models, "training")] if self.num_models else []
        if self.num_unknown:
            rows = amount(self.num_unknown, "row")
            told = told[self.num_requests == 0 :]
            told.append(f"what {rows} cost none that is left can tell")
        return f"{amount(self.num_rows, 'row')}: {', '.join(told)}"


def remade(store: Store, damaged: Sequence[Looked], database: Database) -> Iterator[str]:
    """A line for each damaged part."""
    rows = database.run_file("status", "stages_by_fingerprint").rows if damaged else []
    stages = {fingerprint: (recipe, stage) for fingerprint, recipe, stage in rows}
    for one in damaged:
        where = store.where(one.file)
        yield f"{one.table}: {where} ({shards(one.part)}): {one.fault}; {_remade(one, stages)}"


def what_is_lost(damaged: Sequence[Looked], database: Database) -> Lost:
    """All of it together."""
    if not damaged:
        return Lost()
    costs = {
        (row["table_name"], row["stage_fingerprint"]): (row["requests_each"], row["tokens_each"])
        for row in database.run_file("care", "cost_by_fingerprint").records()
    }
    requests = tokens = 0.0
    rows = gone = models = unknown = 0
    for one in damaged:
        if one.table not in TABLES or not TABLES[one.table].is_made_again:
            gone += one.part.rows
            continue
        rows += one.part.rows
        models += one.part.rows if one.table == Model.table else 0
        for fingerprint, count in one.part.made.items():
            each = costs.get((one.table, fingerprint))
            if each is not None:
                requests, tokens = requests + count * each[0], tokens + count * each[1]
            elif one.table in _PAYING:
                unknown += count
    return Lost(
        num_rows=rows, num_gone=gone, num_models=models, num_requests=requests,
        num_tokens=tokens, num_unknown=unknown,
    )  # fmt: skip


_PAYING = {name for name, row in TABLES.items() if issubclass(row, Usage)}


def shards(part: Part) -> str:
    """Whose rows it holds, e.g. "shards 0 to 2, 5"."""
    if not part.shards:
        return "its shards are not known: an earlier version wrote it"
    numbers = [shard for shard in part.shards if shard is not None]
    if len(numbers) < len(part.shards):
        return "all shards"
    return f"shard{'s' * (len(numbers) > 1)} {_ranges(numbers)}"


def _ranges(numbers: Sequence[int]) -> str:
    """[0, 1, 2, 5] -> "0 to 2, 5"."""
    breaks = [0, *(i for i, (a, b) in enumerate(pairwise(numbers), 1) if b - a > 1), len(numbers)]
    runs = [numbers[first:end] for first, end in pairwise(breaks)]
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else _each(run) for run in runs)


def _each(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _remade(one: Looked, stages: dict[str, tuple[str, str]]) -> str:
    rows = amount(one.part.rows, "row")
    if one.table == Invocation.table:
        return f"a rerun sets it aside; its {rows} (when a run was started) cannot be made again"
    by_recipe: dict[str, list[str]] = {}
    for fingerprint, count in one.part.made.items():
        if fingerprint in stages:
            recipe, stage = stages[fingerprint]
            by_recipe.setdefault(recipe, []).append(f"{stage} {count}")
    named = "; ".join(f"{recipe}: {', '.join(made)}" for recipe, made in by_recipe.items())
    return f"a rerun sets it aside and makes its {rows} again{f' ({named})' * bool(named)}"
