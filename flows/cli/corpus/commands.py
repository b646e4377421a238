"""`litecot corpus`: is it sound, how large is it, what can go, and how it moves.

Invariant: importing this loads nothing heavy; every command takes a folder or an s3:// URL.

    litecot corpus check --corpus corpora/maths
"""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.interruption import cleaning_up
from flows.cli.messages import fail
from flows.cli.options import DEFAULT_CORPUS, CorpusOption, JsonOption, clear_errors
from tasks.errors import UsageError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Care of a corpus: is it sound, how large is it, what can go, and how it moves.",
)


@app.command("check")
def check_corpus(
    corpus: CorpusOption = DEFAULT_CORPUS,
    heal: Annotated[
        bool,
        typer.Option(
            "--heal", help="Set aside what is damaged, so that a rerun makes exactly that again."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at every byte, file and row of a corpus and name what is wrong; exit 1 if anything is.

    Checksums of parts and weights, columns, files nobody lists, ids stored twice, rows whose
    parent is gone, the journal against the parts. Without --heal nothing is changed.
    """
    from flows.cli.corpus.check import check_corpus as checked

    with clear_errors(), cleaning_up():
        if heal and as_json:
            raise UsageError("--json goes without --heal, whose lines are for eyes")
        if count := checked(corpus, with_healing=heal, as_json=as_json):
            fail(f"{corpus}: {count} {'faults' if count > 1 else 'fault'}; see above")


@app.command("size")
def show_size(corpus: CorpusOption = DEFAULT_CORPUS, as_json: JsonOption = False) -> None:
    """How large a corpus is: by table, run, kind of rationale, student and kind of file.

    A run counts with the rows it stored first; its bytes are their share of the parts they lie in.
    """
    from flows.cli.corpus.shown import show_sizes
    from infra.care.sizes import measure
    from infra.storage.corpus import Corpus

    with clear_errors():
        show_sizes(measure(Corpus(corpus)), as_json=as_json)


@app.command("compact")
def compact_corpus(corpus: CorpusOption = DEFAULT_CORPUS) -> None:
    """Make few large parts of many small ones, of every table; no row changes.

    Refused while a run writes the corpus. What it replaces stays some minutes for who reads it,
    and goes with the next writer after that.
    """
    from flows.cli.corpus.care import compact

    with clear_errors():
        compact(corpus)


@app.command("prune")
def prune_corpus(
    corpus: CorpusOption = DEFAULT_CORPUS,
    keep_runs: Annotated[
        int | None, typer.Option(min=1, help="Runs that stay: so many of those seen last.")
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(help="Runs go that were not seen for so long, e.g. 30d, 12h or 8w."),
    ] = None,
    runs: Annotated[
        list[str] | None,
        typer.Option("--run", help="Only this run goes, by its id or its start; repeatable."),
    ] = None,
    leftovers: Annotated[
        bool,
        typer.Option(
            "--leftovers",
            help="Also what no run needs: files set aside, checkpoints of trainings given up, "
            "weights of no row, what killed runs left.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and stop.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it unasked.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Free what is not needed: rows and weights of runs that go, replaced parts, leftovers.

    A run stays that either option keeps. Says what goes, what it frees to the byte and what it
    would cost to make again, then asks; where nobody can be asked, it needs --yes.
    """
    from flows.cli.corpus.care import prune

    with clear_errors(), cleaning_up():
        prune(
            corpus, keep_runs=keep_runs, older_than=older_than, runs=runs or (),
            leftovers=leftovers, dry_run=dry_run, yes=yes, as_json=as_json,
        )  # fmt: skip


@app.command("copy")
def copy_corpus(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A folder or s3://bucket/path.")],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="An empty place, or an earlier copy of FROM.")
    ],
) -> None:
    """Bring a corpus, its students too, to another folder or bucket; again later sends what is new.

    Every file is compared with its checksum when it leaves and read back where it arrived. Cut off,
    the same command goes on. The journal stays: replies paid for and not used yet are not copied.
    """
    from flows.cli.corpus.care import copy

    with clear_errors(), cleaning_up():
        copy(source, target)


@app.command("merge")
def merge_corpora(
    sources: Annotated[list[str], typer.Argument(metavar="CORPUS...", help="Two or more.")],
    into: Annotated[
        str, typer.Option("--into", help="Corpus to make, or one that has rows already.")
    ],
) -> None:
    """One corpus of those that several drivers made: all runs, rows and students, equal ones once.

    Rows that say different things under one id are named, and nothing is done.
    """
    from flows.cli.corpus.care import merge

    with clear_errors(), cleaning_up():
        merge(sources, into=into)


@app.command("diff")
def diff_corpora(
    here: Annotated[str, typer.Argument(metavar="HERE", help="A folder or s3://bucket/path.")],
    there: Annotated[str, typer.Argument(metavar="THERE", help="Another.")],
    as_json: JsonOption = False,
) -> None:
    """What two corpora do not share: rows by table, runs, settings; exit 1 if rows differ.

    Rows that say the same and were made at another time, cost or machine are counted apart.
    """
    from flows.cli.corpus.shown import show_diff
    from infra.care.differing import differ
    from infra.storage.corpus import Corpus

    with clear_errors(), cleaning_up():
        found = differ(Corpus(here), Corpus(there))
        show_diff(found, as_json=as_json)
        if not found.is_equal:
            raise typer.Exit(1)


@app.command("migrate")
def migrate_corpus(corpus: CorpusOption = DEFAULT_CORPUS) -> None:
    """Give the parts of an earlier version the columns of this one, so that all are alike.

    Runs and commands need none of it: they read earlier corpora as they are. It is for other
    readers of the folder. No row and no id changes; killed, the same command goes on.
    """
    from flows.cli.corpus.care import migrate

    with clear_errors(), cleaning_up():
        migrate(corpus)
