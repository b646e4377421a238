"""`litecot evaluations` and `litecot frontier`: what every evaluated model of a corpus came to.

Invariant: read-only; importing this loads nothing heavy. A table is for eyes (a value with its
interval in one cell), CSV and JSON for programs (columns <value>, <value>_low, <value>_high).

A sample cell: 0.815 [0.755, 0.863]
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flows.cli.options import DEFAULT_CORPUS, CorpusOption, clear_errors
from flows.names import names_in

if TYPE_CHECKING:
    from flows.evaluations.metrics import Measured

ByOption = Literal["all", "level"]
OnOption = Annotated[
    list[str] | None,
    typer.Option("--on", help="Only these benchmarks, comma-separated; repeatable."),
]
FormatOption = Annotated[str, typer.Option("--format", help="table | csv | json")]
PROMPTS = {False: "plain", True: "<compress>"}


def evaluations(
    corpus: CorpusOption = DEFAULT_CORPUS,
    by: Annotated[
        ByOption, typer.Option(help="level: a row for each level of the questions too.")
    ] = "all",
    on: OnOption = None,
    output: FormatOption = "table",
) -> None:
    """Every evaluated model of the corpus: accuracy, tokens, cut off answers, with intervals.

    Whichever run evaluated it. Answers of other sampling or prompts are rows of their own.
    """
    from flows.cli.display import check_format
    from flows.cli.readers import open_corpus
    from flows.evaluations.metrics import measure

    with clear_errors():
        check_format(output)
    with clear_errors(corpus), open_corpus(corpus) as database:
        measured = measure(
            database, by_level=by == "level", on=names_in(on), lengths=output != "table"
        )
        _print(measured, output, lambda row: _metric_cells(row, with_level=by == "level"))


def frontier(
    corpus: CorpusOption = DEFAULT_CORPUS,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw it: a file that ends in .svg, .png or .html.")
    ] = None,
    on: OnOption = None,
    output: FormatOption = "table",
) -> None:
    """Accuracy against inference tokens: which models no other beats in both.

    Compared are models and prompts that were asked the same questions with the same settings.
    A start: litecot frontier --plot frontier.svg
    """
    from flows.cli.display import check_format
    from flows.cli.readers import open_corpus
    from flows.evaluations import metrics
    from flows.evaluations.plot import check_file, draw
    from flows.progress.text import say

    with clear_errors():
        check_format(output)
        if plot is not None:
            check_file(plot)
    with clear_errors(corpus), open_corpus(corpus) as database:
        measured = metrics.frontier(database, on=names_in(on))
        _print(measured, output, _frontier_cells)
        if plot is not None:
            draw(measured, plot)
            if output == "table":
                say(f"drawn: {plot}")


def print_evaluated(corpus: str, models: Collection[str], *, on: Sequence[str]) -> None:
    """The same table of these models and benchmarks alone."""
    from flows.cli.readers import open_corpus
    from flows.evaluations.metrics import measure

    with open_corpus(corpus) as database:
        measured = [one for one in measure(database) if _is_asked(one.row, models, on)]
    _print(measured, "table", lambda row: _metric_cells(row, with_level=False))


def _is_asked(row: Mapping[str, Any], models: Collection[str], on: Sequence[str]) -> bool:
    return row["model_id"] in models and row["benchmark"] in on


def _print(measured: Sequence[Measured], output: str, cells: Any) -> None:
    from flows.cli.display import print_result
    from flows.evaluations.metrics import settings_words
    from flows.progress.text import say
    from sql.database import Result

    if output == "table":
        told = [*dict.fromkeys(one.row["settings"] for one in measured)]
        rows = [cells(one) for one in measured]
        if len(told) > 1:
            for one, row in zip(measured, rows, strict=True):
                row["settings"] = f"#{told.index(one.row['settings']) + 1}"
    else:
        told, rows = [], [one.record() for one in measured]
    columns = tuple(c for c in rows[0] if output != "table" or any(row[c] != "" for row in rows))
    types = tuple("DOUBLE" if _is_number(name) else "VARCHAR" for name in columns)
    found = [tuple(row[name] for name in columns) for row in rows]
    print_result(Result(columns=columns, types=types, rows=found), output)
    for number, settings in enumerate(told, start=1):
        say(f"settings{f' #{number}' if len(told) > 1 else ''}: {settings_words(settings)}")
    if told:
        say("in brackets: 95% intervals, by question and family of questions (docs/evaluation.md)")


def _is_number(column: str) -> bool:
    return column not in ("model", "benchmark", "prompt", "level", "settings", "frontier")


def _metric_cells(one: Measured, *, with_level: bool) -> dict[str, Any]:
    from tasks.statistics.intervals import FEW_QUESTIONS

    row = one.row
    told = _head(row)
    if with_level:
        told["level"] = row["level"]
    told |= {"questions": row["num_questions"], "samples": row["num_samples"]}
    told["accuracy"] = _cell(one, "accuracy", 3)
    exact = one.intervals["exact"] if row["num_questions"] < FEW_QUESTIONS else None
    told["exact"] = "" if exact is None else f"[{exact[0]:.3f}, {exact[1]:.3f}]"
    several = row["num_samples"] > 1
    told["pass@k"] = _cell(one, "pass_at_k", 3) if several else ""
    told["maj@k"] = _cell(one, "maj_at_k", 3) if several else ""
    told["tokens"] = _cell(one, "mean_tokens", 1)
    told |= {"median": row["median_tokens"], "p95": row["p95_tokens"]}
    told["per correct"] = _cell(one, "tokens_per_correct", 1)
    told |= {"cut off": f"{row['share_cut_off']:.1%}", "seconds": f"{row['mean_seconds']:.2f}"}
    return told


def _frontier_cells(one: Measured) -> dict[str, Any]:
    row = one.row
    told = _head(row)
    told |= {"questions": row["num_questions"], "accuracy": _cell(one, "accuracy", 3)}
    told["tokens"] = _cell(one, "mean_tokens", 1)
    told["per correct"] = _cell(one, "tokens_per_correct", 1)
    told["cut off"] = f"{row['share_cut_off']:.1%}"
    told["compared"] = row["num_compared"]
    told["frontier"] = "yes" if row["is_on_frontier"] else (
        f"no: {row['dominated_by']}, {PROMPTS[row['dominated_by_compress']]}"
    )  # fmt: skip
    return told


def _head(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "benchmark": row["benchmark"], "model": row["model_id"],
        "prompt": PROMPTS[row["compress"]],
    }  # fmt: skip


def _cell(one: Measured, column: str, digits: int) -> str:
    """0.815 [0.755, 0.863]; without an interval where there is none to have."""
    value, ends = one.row[column], one.intervals.get(column)
    if value is None:
        return ""
    told = f"{value:.{digits}f}"
    return told if ends is None else f"{told} [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"
