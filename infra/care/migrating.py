"""A corpus of an earlier version gets the columns of this one: all parts of a table alike.

Invariants: no row, no id and no order changes; columns that came later are null, as our own views
show them anyhow; all tables change in one step. Readers and runs of this version need none of it:
it is for whoever reads the folders by themselves, where the first part's columns count for all.

    migrate("corpus") -> Migrated(before=1, num_parts=17)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from infra.storage import Corpus, CorpusWriter
from infra.storage.manifest import Part
from infra.storage.parquet_parts import filtered_part, layout
from infra.storage.soundness import Advance
from infra.storage.store import Store
from tasks.schemas import SCHEMA, TABLES, arrow_schema


@dataclass(frozen=True, kw_only=True)
class Migrated:
    """`before`: the schema that the corpus had; `num_parts` were written anew."""

    before: int
    num_parts: int


def old_parts(corpus: Corpus) -> list[tuple[str, Part]]:
    """Table and part of those that have other columns than this version writes."""
    return [
        (table, part)
        for table, live in corpus.manifest().parts.items()
        for part in live
        if is_old(table, part)
    ]


def is_old(table: str, part: Part) -> bool:
    """By its name, of which the third word is its layout (infra/storage/parquet_parts.py)."""
    known = table in TABLES
    return known and part.name.split("-")[2:3] != [layout(arrow_schema(TABLES[table]))]


def migrate(location: str | Path | Store, advance: Advance | None = None) -> Migrated:
    """Raises CorpusError: none there, of a later version, or somebody writes it."""
    corpus = Corpus(location)
    before = corpus.manifest().schema
    with CorpusWriter(corpus.store, advance=advance) as writer:
        manifest = writer.manifest
        old = old_parts(corpus)
        if old or manifest.schema != SCHEMA:
            parts = {
                table: [
                    _anew(corpus.store, table, part) if (table, part) in old else part
                    for part in live
                ]
                for table, live in manifest.parts.items()
            }
            writer.replace_parts(parts, schema=SCHEMA)
    return Migrated(before=before, num_parts=len(old))


def _anew(store: Store, table: str, part: Part) -> Part:
    anew = filtered_part(store, TABLES[table], part, lambda ids: [True] * len(ids))
    return part if anew is None else anew  # one without rows has nothing to say
