"""What Tab offers in bash, zsh and fish behind a command: recipes, questions, relations, ids.

Invariants: a completion never prints, never fails and loads only what it needs; ids are those of
the corpus that the words before name (`--corpus`, else LITECOT_CORPUS).

A sample: recipes(context, "lit")  ->  [("litecot", "Difficulty-aware rewrites of ..."), ...]
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path

import typer

Offered = list[tuple[str, str]]
Found = Iterable[tuple[str, str]]


def _offering(find: Callable[[typer.Context], Found]) -> Callable[[typer.Context, str], Offered]:
    """What `find` gives that begins as typed; nothing where it fails: none is told at Tab."""

    @wraps(find)
    def offer(ctx: typer.Context, incomplete: str) -> Offered:
        try:
            return [(word, told) for word, told in find(ctx) if word.startswith(incomplete)]
        except Exception:
            return []

    offer.__annotations__ = {"ctx": typer.Context, "incomplete": str, "return": Offered}
    del offer.__dict__["__wrapped__"]  # typer reads the parameters of what this stands for
    return offer


@_offering
def recipes(ctx: typer.Context) -> Iterator[tuple[str, str]]:
    """Those that ship, then TOML files and folders here, one level deep."""
    import tomllib

    from flows.recipes.loading import shipped_recipes

    for name, path in shipped_recipes().items():
        yield name, tomllib.loads(path.read_text(encoding="utf-8")).get("description", "")
    yield from ((str(path), "a recipe here") for path in sorted(Path().glob("*.toml")))
    yield from ((str(path), "a recipe here") for path in sorted(Path().glob("*/*.toml")))


@_offering
def shipped(ctx: typer.Context) -> Iterator[tuple[str, str]]:
    """Recipes that ship."""
    from flows.recipes.loading import shipped_recipes

    yield from ((name, "") for name in shipped_recipes())


@_offering
def questions(ctx: typer.Context) -> Found:
    """What `litecot ask` answers."""
    from sql.questions import questions as asked

    return asked().items()


@_offering
def relations(ctx: typer.Context) -> Iterator[tuple[str, str]]:
    """What `litecot describe` describes."""
    from sql.database import relations as all_relations
    from sql.described import rows_of

    yield from ((name, f"one row per {rows_of(name)}") for name in all_relations())


@_offering
def runs(ctx: typer.Context) -> Iterator[tuple[str, str]]:
    """Runs of the corpus, the latest first."""
    from infra.storage.corpus import Corpus
    from sql.database import connect

    corpus = Corpus(_corpus(ctx))
    with connect(corpus.parts(), through=corpus.store.files) as database:
        for row in database.run_file("care", "all_runs").records():
            yield row["run_id"], f"{row['recipe']}, {str(row['seen_at'])[:16]}"


@_offering
def models(ctx: typer.Context) -> Iterator[tuple[str, str]]:
    """Students of the corpus, and the names that stand for some."""
    from infra.storage.corpus import Corpus
    from sql.database import connect

    corpus = Corpus(_corpus(ctx))
    if corpus.exists:
        with connect(corpus.parts(), through=corpus.store.files) as database:
            found = database.run_file("runs", "students", variables={"prefix": ""}).records()
            yield from ((row["model_id"], f"student of {row['recipe']}") for row in found)
    yield from (("base", "the run's base"), ("trained", "the run's student"))
    yield from (("nano:student", "the embedded student"), ("nano:teacher", "and its teacher"))


@_offering
def corpora(ctx: typer.Context) -> Iterator[tuple[str, str]]:
    """Folders here that hold a corpus, one level deep."""
    for manifest in sorted([*Path().glob("*/_manifest.json"), *Path().glob("*/*/_manifest.json")]):
        yield str(manifest.parent), "a corpus"


def _corpus(ctx: typer.Context) -> str:
    given = ctx.params.get("corpus")
    return str(given or os.environ.get("LITECOT_CORPUS") or "corpus")
