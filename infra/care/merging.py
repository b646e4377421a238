"""Corpora of several drivers become one: ids are hashes of what made a row, so it is a union.

Invariants: the sources are only read; equal rows are there once, of what was measured the first
source's; rows that say different things under one id are named and nothing is done, for rows made
from either would stand beside the other. All tables of the result change in one step.

    merge([Corpus("a"), Corpus("b")], "c")
        -> Merged(num_rows={"problems": 256, ...}, num_twice={"problems": 12}, num_students=2)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from infra.care.comparing import compare, differences
from infra.care.copying import num_students, part_task, send, weights_tasks
from infra.care.facts import facts, model_paths
from infra.care.ids import Ids, is_outside, part_ids
from infra.care.words import amount
from infra.storage import Corpus, CorpusError, CorpusWriter
from infra.storage.manifest import Manifest, Part
from infra.storage.opening import open_store
from infra.storage.parquet_parts import filtered_part
from infra.storage.soundness import Advance
from infra.storage.store import Store
from sql.database import Database
from tasks.schemas import TABLES


@dataclass(frozen=True, kw_only=True)
class Merged:
    """By table: rows that came, and rows that were there already. Students that came."""

    num_rows: Mapping[str, int]
    num_twice: Mapping[str, int]
    num_students: int


def merge(
    sources: Sequence[Corpus], into: str | Path | Store, advance: Advance | None = None
) -> Merged:
    """Have all rows and students of `sources` in `into` too, which may have rows.

    Raises CorpusError: rows contradict each other, a source is damaged, or `into` is being written.
    """
    target = open_store(into)
    for source in sources:
        if str(source.store) == str(target):
            raise CorpusError(f"{target}: is one of the corpora to merge; name another --into")
        source.sound_parts(advance)
    result = Corpus(target)
    everything = [*([result] if result.exists else []), *sources]
    if contradictions := list(_contradictions(everything)):
        raise CorpusError("\n".join(contradictions))
    with CorpusWriter(target) as writer:
        union = _Union(writer)
        students, settled = 0, _students(result)
        for source in sources:
            manifest = source.manifest()
            union.add(source.store, manifest)
            students += _weights(source.store, manifest, target, settled)
        writer.replace_parts(union.parts)
    return Merged(num_rows=union.num_rows, num_twice=union.num_twice, num_students=students)


# --- contradictions


def _contradictions(corpora: Sequence[Corpus]) -> Iterator[str]:
    """A line a table and pair of corpora of which rows differ under the same id."""
    with ExitStack() as stack:
        open_ = [(c, stack.enter_context(facts(c, c.manifest()))) for c in corpora]
        for number, (one, here) in enumerate(open_):
            for other, there in open_[number + 1 :]:
                yield from _between(one, here, other, there)


def _between(one: Corpus, here: Database, other: Corpus, there: Database) -> Iterator[str]:
    for table in TABLES:
        compared = compare(here, there, table)
        if count := len(compared.differing):
            named = differences(here, there, compared)
            some = "; ".join(f"{row}: {', '.join(columns)}" for row, columns in named.items())
            yield (
                f"{table}: {amount(count, 'row')} of {one.store} and {other.store} differ under "
                f"the same id ({some}); the runs they are of cannot be in one corpus: take them "
                f"out of one with `litecot corpus prune --run RUN`"
            )


# --- rows


class _Union:
    """The parts of a corpus, and those that bring what others have more."""

    def __init__(self, writer: CorpusWriter) -> None:
        self._store, manifest = writer.store, writer.manifest
        self.parts: dict[str, list[Part]] = {t: [*live] for t, live in manifest.parts.items()}
        self._known: dict[str, Ids] = {}
        self.num_rows: Counter[str] = Counter()
        self.num_twice: Counter[str] = Counter()

    def add(self, source: Store, manifest: Manifest) -> None:
        for table, live in manifest.parts.items():
            known = self._ids(table)
            for part in live:
                known = self._add_part(source, table, part, known)
            self._known[table] = known

    def _ids(self, table: str) -> Ids:
        import numpy as np

        if table not in self._known:
            ids = [part_ids(self._store, table, part) for part in self.parts.get(table, ())]
            self._known[table] = np.unique(np.concatenate([np.array([], np.int64), *ids]))
        return self._known[table]

    def _add_part(self, source: Store, table: str, part: Part, known: Ids) -> Ids:
        import numpy as np

        ids = part_ids(source, table, part)
        twice = int(np.isin(ids, known).sum())
        if added := self._brought(source, table, part, known, is_whole=twice == 0):
            self.parts.setdefault(table, []).append(added)
            self.num_rows[table] += added.rows
        self.num_twice[table] += twice
        return np.union1d(known, ids)

    def _brought(
        self, source: Store, table: str, part: Part, known: Ids, *, is_whole: bool
    ) -> Part | None:
        if is_whole and f"{table}/{part.name}" not in {*self._names(table)}:
            task = part_task(table, part, apart=True)
            etags, _ = send(source, self._store, [task], there={})
            return replace(part, etag=etags[task.name])

        return filtered_part(self._store, TABLES[table], part, is_outside(known), of=source)

    def _names(self, table: str) -> Iterator[str]:
        yield from (f"{table}/{part.name}" for part in self.parts.get(table, ()))


# --- students


def _students(corpus: Corpus) -> set[str]:
    """Folders of those that have their row."""
    with facts(corpus, corpus.manifest()) as database:
        return model_paths(database)


def _weights(source: Store, manifest: Manifest, target: Store, settled: set[str]) -> int:
    """Bring the students and checkpoints that are not `settled` there yet; how many students came.

    One whose row the target has is: a row is stored after its weights. All others are compared
    file by file, for a merge may have been cut off.
    """
    tasks = [task for task in weights_tasks(source, manifest) if task.unit not in settled]
    settled.update(task.unit for task in tasks)
    send(source, target, tasks, there=target.listed())
    return num_students(tasks)
