"""`litecot sql`, `ask`, `describe` and `export`: the corpus for people who know SQL, or nearly.

Invariant: nothing here writes to a corpus. A sample:

    litecot sql 'from funnel' --to funnel.parquet      litecot sql      litecot export maths.duckdb
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import tab
from flows.cli.interruption import cleaning_up, ended_by_signals
from flows.cli.options import DEFAULT_CORPUS, CorpusOption, JsonOption, RunOption, clear_errors

if TYPE_CHECKING:
    from flows.cli.output import Output

FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format", help="table | csv | json | parquet; default: as --to ends, else a table."
    ),
]
ToOption = Annotated[
    Path | None, typer.Option(help="Write to this file, of any size; it appears whole.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")]


def sql(
    query: Annotated[
        str | None,
        typer.Argument(
            help="One SELECT over the corpus' relations; - for stdin. Without one: a shell."
        ),
    ] = None,
    corpus: CorpusOption = DEFAULT_CORPUS,
    output: FormatOption = None,
    to: ToOption = None,
    force: ForceOption = False,
    run_id: RunOption = None,
) -> None:
    """Ask a question of the corpus, read-only. Start with 'from funnel' or 'show tables'.

    Without a query a shell opens, where .help says what there is.
    """
    from flows.cli.output import output_of
    from flows.cli.sql.pasted import query_text, wants_shell
    from infra.settings import load_settings

    with clear_errors():
        chosen = output_of(output, to, force=force)
        gib = load_settings().sql_memory_gib
        if wants_shell(query) and to is None:
            from flows.cli.sql.shell import run_shell

            with clear_errors(corpus):
                run_shell(corpus, run_id=run_id, mode=chosen.format, memory_gib=gib)
            return
        asked = query_text(query)
    _write_rows(corpus, run_id, asked, chosen, memory_gib=gib)


def ask(
    question: Annotated[
        str | None,
        typer.Argument(
            help="A question's name; without one, all are listed.",
            autocompletion=tab.questions,
        ),
    ] = None,
    corpus: CorpusOption = DEFAULT_CORPUS,
    output: FormatOption = None,
    to: ToOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    run_id: RunOption = None,
) -> None:
    """Questions about the corpus that are answered already: 'ask kinds_kept'; 'ask' lists them."""
    from flows.cli.display import print_questions
    from flows.cli.output import output_of
    from infra.settings import load_settings
    from sql.questions import question_text

    with clear_errors():
        chosen = output_of(output or ("json" if as_json else None), to, force=force)
        if question is None:
            print_questions(as_json=chosen.format == "json")
            return
        asked = question_text(question)
        gib = load_settings().sql_memory_gib
    _write_rows(corpus, run_id, asked, chosen, memory_gib=gib)


def _write_rows(
    corpus: str, run_id: str | None, query: str, chosen: Output, *, memory_gib: float
) -> None:
    from flows.cli.output import write_query
    from flows.cli.readers import open_corpus

    with clear_errors(corpus), cleaning_up(), open_corpus(corpus, run_id=run_id) as database:
        ended_by_signals(
            database.interrupt,
            lambda: write_query(database, query, chosen, memory_gib=memory_gib),
        )


def describe(
    relation: Annotated[
        str | None,
        typer.Argument(
            help="A relation's name; without one, all are listed.",
            autocompletion=tab.relations,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """What every relation that `litecot sql` can ask has: rows of what, columns of what."""
    from flows.cli.display import print_relation, print_relation_json, print_relations

    with clear_errors():
        if relation is None:
            print_relations(as_json=as_json)
        elif as_json:
            print_relation_json(relation)
        else:
            print_relation(relation)


def export(
    file: Annotated[Path, typer.Argument(help="The DuckDB file to make, e.g. corpus.duckdb.")],
    corpus: CorpusOption = DEFAULT_CORPUS,
    force: ForceOption = False,
    run_id: RunOption = None,
) -> None:
    """A DuckDB file with all tables and relations, for any DuckDB client, notebook or BI tool.

    It is a copy, so it may be moved, and stays as it is while the corpus grows.
    """
    from flows.cli.output import say_written, whole_file
    from flows.cli.readers import open_corpus
    from flows.progress.slow import shown_if_slow
    from infra.storage.corpus import Corpus
    from sql.export import export_database

    with (
        clear_errors(corpus), cleaning_up(),
        whole_file(file, force=force) as growing,
        open_corpus(corpus, run_id=run_id) as database,
        shown_if_slow("copying the tables") as advance,
    ):  # fmt: skip
        sizes = Corpus(corpus).bytes_by_table()
        num_rows = ended_by_signals(
            database.interrupt,
            lambda: export_database(database, growing, sizes=sizes, advance=advance),
        )
    say_written(file, num_rows)
