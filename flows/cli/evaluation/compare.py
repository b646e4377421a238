"""`litecot compare`: evaluated models against a baseline, in words and a table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli import tab
from flows.cli.messages import fail
from flows.cli.options import DEFAULT_CORPUS, CorpusOption, RunOption, clear_errors
from flows.comparison import MARGIN
from flows.names import names_in
from flows.progress.text import say

if TYPE_CHECKING:
    from flows.comparison.compared import Compared

Prompts = Literal["both", "plain", "compress"]


def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="BASELINE MODEL...",
            help="Evaluated models: an id or its start, nano:student; base, trained: of a run. "
            "With :plain or :compress behind it, only its answers to that prompt.",
            autocompletion=tab.models,
        ),
    ],
    corpus: CorpusOption = DEFAULT_CORPUS,
    on: Annotated[
        list[str] | None,
        typer.Option("--on", help="Benchmarks, comma-separated; default: all both were asked."),
    ] = None,
    compress: Annotated[
        Prompts, typer.Option(help="Answers to prompts with <compress>, plain ones, or both.")
    ] = "both",
    margin: Annotated[
        float,
        typer.Option(min=0, max=1, help="Difference that does not matter: 0.02 is 2 points."),
    ] = MARGIN,
    fail_if_worse: Annotated[
        float | None,
        typer.Option(
            min=0, max=1,
            help="Exit with 1 if a model is surely worse, by more than this: 0.02 is 2 points.",
        ),
    ] = None,
    output: Annotated[str, typer.Option("--format", help="table | csv | json")] = "table",
    run_id: RunOption = None,
) -> None:  # fmt: skip
    """What differs between models on the same questions: accuracy, tokens, and is it chance?

    The first model is the baseline. Paired tests, questions of one family as one, corrected for
    the number of comparisons (docs/evaluation.md). A start: litecot compare base trained

    What <compress> costs a student: litecot compare trained:plain trained:compress
    """
    from flows.cli.display import check_format, print_batches
    from flows.cli.readers import open_corpus
    from flows.comparison.compared import compare_models
    from flows.comparison.words import records

    with clear_errors(corpus):
        check_format(output)
        with open_corpus(corpus, run_id=run_id) as database:
            compared = compare_models(
                database, models, benchmarks=names_in(on), prompts=compress, margin=margin
            )
        if output == "table":
            print_compared(compared)
        else:
            found = records(compared)
            rows = [tuple(row.values()) for row in found]
            print_batches(tuple(found[0]), [rows], output)
        if fail_if_worse is not None:
            check_losses(compared, fail_if_worse)


def check_losses(compared: Compared, allowed: float) -> None:
    """Say what may be lost; leave with 1 where more than `allowed` (0..1) surely is."""
    from flows.comparison.words import doubts, losses

    for line in doubts(compared, allowed):
        say(f"litecot: {line}", file=sys.stderr)
    if lost := losses(compared, allowed):
        fail("; ".join(lost))


def print_compared(compared: Compared) -> None:
    """Words, table, examples."""
    from flows.cli.display import print_result
    from flows.comparison.words import examples, sentences, table
    from sql.database import Result

    for paragraph in sentences(compared):
        say(paragraph)
        say()
    columns, rows = table(compared)
    print_result(Result(columns=columns, types=("VARCHAR",) * len(columns), rows=rows), "table")
    if lines := examples(compared):
        say()
        say("Questions that flipped:")
        for line in lines:
            say(line)
