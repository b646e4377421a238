"""Takes what is damaged out of a corpus, so that a rerun of the run remakes exactly that.

Invariants: nothing is deleted: what is taken out lies in `_quarantine/`; rows that are left keep
their place; which ids are stored is learnt anew, so that no row is taken for stored that is lost.

    heal("corpus") -> ["corpus/rationales/part-...: holds other bytes than were written; set aside,
                        its 96 rows are made again by the recipe that made them"]
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from infra.care.facts import facts, model_paths
from infra.care.stock import Stock, take_stock
from infra.care.trained import rotten_weights
from infra.care.words import amount
from infra.storage import Corpus, CorpusWriter
from infra.storage.manifest import Part
from infra.storage.parquet_parts import filtered_part
from infra.storage.recovery import aside
from infra.storage.soundness import Advance
from infra.storage.store import Store
from tasks.schemas import TABLES


def heal(location: str | Path | Store, advance: Advance | None = None) -> list[str]:
    """A line for each thing done. Raises CorpusError: somebody writes it, or no corpus is there."""
    corpus = Corpus(location)
    before = _unlisted(corpus)
    # Opening sets damaged parts aside and deletes parts of no manifest, which nobody ever read.
    with CorpusWriter(corpus.store, advance=advance) as writer:
        done = list(writer.warnings)
        stock = _stock(corpus)
        left = set(stock.units("unlisted"))
        done += [f"{corpus.store.where(name)}: in no manifest, removed" for name in before - left]
        for name in sorted(left):
            corpus.store.set_aside(name, aside(name))
            done.append(f"{corpus.store.where(name)}: in no manifest, set aside")
        for unit, faults in rotten_weights(corpus.store, stock).items():
            _set_aside_weights(corpus.store, stock, unit)
            done.append(f"{faults[0]}; its folder is set aside, a rerun trains it again")
        done += _without_doubles(corpus, writer)
    return done


def _unlisted(corpus: Corpus) -> set[str]:
    return set(take_stock(corpus.store, corpus.manifest()).units("unlisted"))


def _stock(corpus: Corpus) -> Stock:
    manifest = corpus.manifest()
    with facts(corpus, manifest) as database:
        return take_stock(corpus.store, manifest, models=model_paths(database))


def _set_aside_weights(store: Store, stock: Stock, unit: str) -> None:
    for file in stock.of("weights", "unclaimed weights"):
        if file.unit == unit:
            store.set_aside(file.name, aside(file.name))
    store.remove(unit)


def _without_doubles(corpus: Corpus, writer: CorpusWriter) -> list[str]:
    """Keep the first of rows of one id; learn anew which ids there are."""
    manifest = corpus.manifest()
    with facts(corpus, manifest) as database:
        rows = database.run_file("care", "repeated_ids").records()
    twice: dict[str, set[str]] = {}
    for row in rows:
        twice.setdefault(row["table_name"], set()).add(row["id"])
    parts: dict[str, Sequence[Part]] = {**manifest.parts}
    for table, ids in twice.items():
        parts[table] = _first_of_each(corpus.store, table, manifest.parts[table], ids)
    writer.replace_parts(parts)
    return [f"{table}: {amount(len(ids), 'row')} kept once" for table, ids in twice.items()]


def _first_of_each(store: Store, table: str, parts: Sequence[Part], twice: set[str]) -> list[Part]:
    met: set[str] = set()

    def stays(ids: list[str]) -> list[bool]:
        kept = []
        for one in ids:
            kept.append(one not in met)
            if one in twice:
                met.add(one)
        return kept

    left = (filtered_part(store, TABLES[table], part, stays) for part in parts)
    return [part for part in left if part is not None]
