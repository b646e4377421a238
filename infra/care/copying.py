"""A corpus brought to another store, and the same later again: what is new is sent, byte for byte.

Invariants: the source is only read, at one moment of its manifest; the copy's manifest comes last,
so a copy is whole or known to be unfinished; each file is compared with its checksum on the way out
and read back where it arrived. A place that has rows of its own is never overwritten.

    copy(Corpus("corpus"), "s3://bucket/maths")
        -> Copied(num_parts=13, num_students=1, num_bytes=1234567, num_there=0)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from infra.care.stock import take_stock
from infra.care.trained import sums_of
from infra.runs.weights import UNFINISHED, WEIGHTS
from infra.storage import Corpus, CorpusError
from infra.storage.checksums import checksum_of_file
from infra.storage.journal import read_journal
from infra.storage.lock import WriterLock
from infra.storage.manifest import Manifest, Part, load_manifest, save_manifest
from infra.storage.opening import open_store
from infra.storage.recovery import assert_corpus_or_empty
from infra.storage.soundness import Advance
from infra.storage.store import COPYING, JOURNAL, LOCK, OURS, FileState, Store
from tasks.schemas import TABLES

THREADS = 8
AGAIN = "run the same command again: what is there already is not sent again"


@dataclass(frozen=True, kw_only=True)
class Copied:
    """`num_bytes` were sent, `num_there` were there already; `num_waiting` finished records are in
    the source's journal and in no part."""

    num_parts: int
    num_rows: int
    num_students: int
    num_bytes: int
    num_there: int
    num_waiting: int


@dataclass(frozen=True, kw_only=True)
class Task:
    """One file to have; `checksum`: what its bytes must be, empty where nobody noted it. `unit`:
    the folder it lives and dies with."""

    name: str
    size: int
    unit: str = ""
    checksum: str = ""
    apart: bool = False


def copy(source: Corpus, to: str | Path | Store, advance: Advance | None = None) -> Copied:
    """Have all parts and weights of `source` at `to`, an empty place or an earlier copy of it.

    Raises CorpusError: `to` holds something else or is being written, a file of `source` is not
    what was written, or one did not arrive as it was sent.
    """
    target = open_store(to)
    if str(target) == str(source.store):
        raise CorpusError(f"{target}: is the corpus itself; name another place")
    manifest = source.manifest()
    with _held(target, manifest):
        before = _accepted(source.store, manifest, target)
        tasks = [
            *_parts(manifest, apart=before is not None),
            *weights_tasks(source.store, manifest),
        ]
        there = target.listed()
        etags, sent = send(source.store, target, tasks, there=there, advance=advance)
        _finish(target, manifest, {**_etags(before), **etags})
        if before is not None:
            _drop(target, {task.name for task in tasks})
    told = read_journal(source.store.folder / JOURNAL / "journal.sqlite", folded=manifest.folded)
    return Copied(
        num_parts=len(manifest.files),
        num_rows=sum(part.rows for live in manifest.parts.values() for part in live),
        num_students=num_students(tasks),
        num_bytes=sent,
        num_there=sum(task.size for task in tasks) - sent,
        num_waiting=told.num_waiting if told and told.name == manifest.journal else 0,
    )


# --- the place


@contextmanager
def _held(target: Store, manifest: Manifest) -> Iterator[None]:
    """No other writer meanwhile."""
    with target.explained():
        target.folder.mkdir(parents=True, exist_ok=True)
        lock = WriterLock(target.folder / LOCK, of=str(target))
        try:
            target.claim(f"a copy of {manifest.journal}")
            try:
                yield
            finally:
                target.release()
        finally:
            lock.release()


def _accepted(source: Store, manifest: Manifest, target: Store) -> Manifest | None:
    """The earlier copy that is at `target`, None where it is empty or a copy was begun."""
    before = load_manifest(target)
    if before is not None:
        if before.journal != manifest.journal or not manifest.journal:
            raise CorpusError(
                f"{target}: holds a corpus of its own, or a copy that was written to since; "
                "`litecot corpus merge` makes one of two, or name an empty place"
            )
        if before.generation > manifest.generation:
            raise CorpusError(f"{target}: is a later state of the same corpus than {source}")
        return before
    mark = {"of": str(source), "journal": manifest.journal}
    if (begun := target.read(COPYING)) is not None:
        if json.loads(begun).get("journal") != manifest.journal:
            assert_corpus_or_empty(target)
        return None
    if others := [name for name in target.entries() if name not in OURS]:
        raise CorpusError(f"{target}: is not empty but holds {others[0]}; name an empty place")
    target.replace(COPYING, json.dumps(mark).encode())
    return None


def _finish(target: Store, manifest: Manifest, etags: Mapping[str, str]) -> None:
    """The copy is what `manifest` says from here on."""
    parts = {
        table: tuple(replace(part, etag=etags.get(f"{table}/{part.name}", "")) for part in live)
        for table, live in manifest.parts.items()
    }
    save_manifest(target, replace(manifest, parts=parts, retired=()))
    target.delete(COPYING)
    target.settle(list(TABLES), live=manifest.files, kept=())


def _etags(before: Manifest | None) -> dict[str, str]:
    parts = before.parts if before else {}
    return {f"{table}/{part.name}": part.etag for table, live in parts.items() for part in live}


def _drop(target: Store, names: set[str]) -> None:
    """Weights of an earlier copy that the source has no more."""
    for name in target.listed():
        if name.startswith(f"{WEIGHTS}/") and name not in names:
            target.delete(name)


# --- the files


def _parts(manifest: Manifest, *, apart: bool) -> Iterator[Task]:
    for table, live in manifest.parts.items():
        for part in live:
            yield part_task(table, part, apart=apart)


def part_task(table: str, part: Part, *, apart: bool) -> Task:
    name = f"{table}/{part.name}"
    return Task(name=name, size=part.bytes, checksum=part.checksum, apart=apart)


def num_students(tasks: Iterable[Task]) -> int:
    """Of how many these files are."""
    folders = {task.name.split("/")[1] for task in tasks if task.name.startswith(f"{WEIGHTS}/")}
    return len(folders - {UNFINISHED})


def weights_tasks(source: Store, manifest: Manifest) -> list[Task]:
    """Students and checkpoints; not what a training is writing just now."""
    stock = take_stock(source, manifest)
    files = stock.of("weights", "checkpoints")
    sums: dict[str, str] = {}
    for unit in stock.units("weights"):
        sums |= sums_of(source, unit)
    return [
        Task(name=f.name, size=f.size, unit=f.unit, checksum=sums.get(f.name, "")) for f in files
    ]


def send(
    source: Store,
    target: Store,
    tasks: Sequence[Task],
    *,
    there: Mapping[str, FileState],
    advance: Advance | None = None,
) -> tuple[dict[str, str], int]:
    """Have these files at `target`, of which `there` are; tags of what was sent, and its bytes.

    Raises CorpusError.
    """
    etags: dict[str, str] = {}
    sent = done = 0
    total = sum(task.size for task in tasks)
    states = dict(target.states([task.name for task in tasks])) if there else {}
    pool = ThreadPoolExecutor(THREADS)
    try:
        one = _sender(source, target, states)
        for task, (tag, size) in zip(tasks, pool.map(one, tasks), strict=True):
            if size:
                etags[task.name] = tag
            sent, done = sent + size, done + task.size
            if advance:
                advance(done, total)
    finally:
        pool.shutdown(cancel_futures=True)
    return etags, sent


def _sender(
    source: Store, target: Store, states: Mapping[str, FileState]
) -> Callable[[Task], tuple[str, int]]:
    """What has a file at the target: its tag there, and the bytes that had to be sent."""

    def one(task: Task) -> tuple[str, int]:
        state = states.get(task.name)
        if state and state.size == task.size and _is_same(source, target, task):
            return "", 0
        path = target.scratch(task.name)
        try:
            source.copy_out(task.name, path)
        except FileNotFoundError:
            where = source.where(task.name)
            raise CorpusError(f"{where}: is gone, the corpus changed meanwhile; {AGAIN}") from None
        summed = checksum_of_file(path)
        if task.checksum and summed != task.checksum:
            raise CorpusError(
                f"{source.where(task.name)}: holds other bytes than were written; `litecot corpus "
                "check` says what mends it"
            )
        tag = target.publish(task.name, apart=task.apart)
        if target.checksum(task.name) != summed:
            raise CorpusError(
                f"{target.where(task.name)}: arrived with other bytes than were sent; {AGAIN}"
            )
        return tag, task.size

    return one


def _is_same(source: Store, target: Store, task: Task) -> bool:
    return target.checksum(task.name) == (task.checksum or source.checksum(task.name))
