"""`litecot corpus check`: is every byte of a corpus what was written, and if not, what is lost?

Invariant: nothing is changed, so it may be asked of a read-only corpus and of one that is being
written; all that is wrong is said, a line each.

    rationales: corpus/rationales/part-000000000128-9c0e12-3fa2c1.parquet (shards 0 to 2): holds
    other bytes than were written; a rerun makes its 96 rows again (nano: generate 80, verify 16)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from flows.progress.slow import shown_if_slow
from flows.progress.text import plain
from infra.engines.model_files import cut_off_weights
from infra.runs.weights import WEIGHTS
from infra.storage.checksums import folder_faults
from infra.storage.corpus import Corpus
from infra.storage.manifest import ManifestError, Part
from infra.storage.soundness import Looked
from sql.database import connect
from tasks.schemas import Invocation

MIB = 2**20


def check_corpus(location: str) -> int:
    """Say on stdout what is wrong with parts, journal and trained weights; how much that is.

    Raises CorpusError: none there, or its store is away.
    """
    corpus = Corpus(location)
    try:
        with shown_if_slow("reading the parts") as advance:
            seen = corpus.looked_through(advance)
    except ManifestError as error:
        print(plain(error))
        return 1
    damaged = [one for one in seen if one.fault]
    faults = [*_lines(corpus, damaged), *filter(None, [corpus.journal_fault()])]
    faults += [
        f"{fault}; delete its folder, and a rerun trains it again"
        for folder in sorted((corpus.store.folder / WEIGHTS).glob("[!.]*/"))
        for fault in folder_faults(folder) or filter(None, [cut_off_weights(folder)])
    ]
    for fault in faults:
        print(plain(fault))
    if not faults:
        print(_sound(location, [one.part for one in seen]))
    return len(faults)


def _sound(location: str, parts: Sequence[Part]) -> str:
    size, rows = sum(part.bytes for part in parts), sum(part.rows for part in parts)
    said = f"{plain(location)}: {len(parts)} parts, {rows} rows, {size / MIB:.1f} MiB: sound"
    if num_unsummed := sum(not part.checksum for part in parts):
        said += (
            f"\n{num_unsummed} of the parts are of an earlier version, without a checksum: the"
            " checksums of their pages are right, and the next run keeps one of the whole"
        )
    return said


def _lines(corpus: Corpus, damaged: Sequence[Looked]) -> Iterator[str]:
    stages = _stages(corpus, damaged) if damaged else {}
    for one in damaged:
        where = corpus.store.where(one.file)
        yield f"{one.table}: {where} ({_shards(one.part)}): {one.fault}; {_remade(one, stages)}"


def _stages(corpus: Corpus, damaged: Sequence[Looked]) -> dict[str, tuple[str, str]]:
    """Fingerprint -> recipe and stage, of the runs that can still be read."""
    rotten = {corpus.store.where(one.file) for one in damaged}
    parts = {
        table: [file for file in files if file not in rotten]
        for table, files in corpus.listed().items()
    }
    with connect(parts, through=corpus.store.files) as database:
        rows = database.run_file("status", "stages_by_fingerprint").rows
    return {fingerprint: (recipe, stage) for fingerprint, recipe, stage in rows}


def _shards(part: Part) -> str:
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
    rows = f"{one.part.rows} row{'s' * (one.part.rows != 1)}"
    if one.table == Invocation.table:
        return f"a rerun sets it aside; its {rows} (when a run was started) cannot be made again"
    by_recipe: dict[str, list[str]] = {}
    for fingerprint, count in one.part.made.items():
        if fingerprint in stages:
            recipe, stage = stages[fingerprint]
            by_recipe.setdefault(recipe, []).append(f"{stage} {count}")
    named = "; ".join(f"{recipe}: {', '.join(made)}" for recipe, made in by_recipe.items())
    return f"a rerun sets it aside and makes its {rows} again{f' ({named})' * bool(named)}"
