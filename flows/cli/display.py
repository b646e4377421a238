"""Prints what the reading commands found. What a model wrote is never markup or a control code.

A sample: `print_result(Result(columns=("a",), types=("INTEGER",), rows=[(1,)]), "csv")`.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from flows.progress.text import page, plain
from tasks.catalog import title_of
from tasks.errors import UsageError

if TYPE_CHECKING:
    from sql.database import Database, Result
    from sql.lineage import Chain, Lineage

FORMATS = ("table", "csv", "json")
MAX_RECORDS = 50  # rows shown one column a line where a table does not fit


def check_format(name: str) -> None:
    """Raises UsageError."""
    if name not in FORMATS:
        raise UsageError(f"--format {name}: choose one of {', '.join(FORMATS)}")


def print_result(result: Result, output: str, stream: TextIO | None = None) -> None:
    """A query's result as a table for eyes, or as CSV or JSON for programs."""
    if output == "table":
        _print_table(result, stream or sys.stdout)
    else:
        print_batches(result.columns, [result.rows], output, stream)


def print_batches(
    columns: Sequence[str],
    batches: Iterable[Sequence[Sequence[Any]]],
    output: str,
    stream: TextIO | None = None,
) -> None:
    """Rows of any number as CSV or JSON: one batch of them in memory at a time."""
    stream = stream or sys.stdout
    rows = (row for batch in batches for row in batch)
    if output == "csv":
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    else:
        _print_json(columns, rows, stream)


def _print_json(columns: Sequence[str], rows: Iterable[Sequence[Any]], stream: TextIO) -> None:
    """What `json.dump` of the list writes with an indent of 2."""
    before, after = "[", "[]\n"
    for row in rows:
        record = {name: _json_value(value) for name, value in zip(columns, row, strict=True)}
        text = json.dumps(record, default=str, ensure_ascii=False, indent=2)
        stream.write(before + "\n  " + text.replace("\n", "\n  "))
        before, after = ",", "\n]\n"
    stream.write(after)


def _json_value(value: object) -> object:
    """JSON has no NaN and no infinity: null, as in DuckDB's own JSON."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print_table(result: Result, stream: TextIO) -> None:
    table = Table(header_style="bold")
    for name, kind in zip(result.columns, result.types, strict=True):
        is_number = any(word in kind for word in ("INT", "DOUBLE", "DECIMAL", "FLOAT"))
        title = Text(plain(name))  # a name is no markup: select x[i] is called "x[i]"
        table.add_column(title, justify="right" if is_number else "left", overflow="fold")
    for row in result.rows:
        table.add_row(*(Text(plain(value)) for value in row))
    console = Console(file=stream)
    if not console.is_terminal:  # piped: as wide as the rows are
        console = Console(file=stream, width=_width(result))
    elif _width(result) > console.width and len(result.rows) <= MAX_RECORDS:
        _print_records(result, console)
        return
    console.print(table)
    console.print(f"{len(result.rows)} row{'s' * (len(result.rows) != 1)}", highlight=False)


def _print_records(result: Result, console: Console) -> None:
    """Row after row, a line a column: for what is wider than the terminal."""
    longest = max(map(len, result.columns))
    for number, row in enumerate(result.rows, start=1):
        console.print(Text(f"row {number}", style="bold"))
        for name, value in zip(result.columns, row, strict=True):
            console.print(Text(f"  {name:<{longest}}  {plain(value)}"))


def _width(result: Result) -> int:
    lines = [result.columns, *result.rows]
    widths = [max(len(plain(row[i])) + 3 for row in lines) for i in range(len(result.columns))]
    return min(max(80, sum(widths) + 1), 500)


def print_lineage(lineage: Lineage) -> None:
    """A problem from its question to its training examples."""
    tree = Tree(Text(f"problem {lineage.problem_id}", style="bold"))
    tree.add(_block(f"question ({lineage.source}, {', '.join(lineage.splits)})", lineage.question))
    tree.add(Text(f"answer: {plain(lineage.answer)}"))
    for graded in lineage.difficulties:
        tree.add(Text(f"difficulty {graded.difficulty:.2f}: {graded.level} "
                      f"(teacher says {graded.teacher_level or 'nothing'})"))  # fmt: skip
    for chain in lineage.chains:
        _add_chain(tree, chain)
    for rejection in lineage.rejections:
        why = f"{rejection.reason}; {plain(rejection.detail)}"
        tree.add(Text(f"rejected by {rejection.stage}: {why}"))
    for answer in lineage.evaluations:
        how = "with <compress>" if answer.compress else "plain"
        said = f"{answer.verdict}, says {plain(answer.extracted_answer) or 'nothing'}"
        said += _stated(answer.stated_as)
        tree.add(Text(f"evaluated {how}, {answer.role} {plain(answer.model_id)}: {said}, "
                      f"{answer.num_tokens} tokens"))  # fmt: skip
    page().print(tree)


def _block(title: str, text: str) -> Text:
    return Text(f"{title}:\n{plain(text)}")


def _add_chain(parent: Tree, chain: Chain) -> None:
    branch = parent.add(_block(_chain_title(chain), chain.text))
    for score in chain.scores:
        branch.add(Text(f"score by {plain(score.student)}: RD {score.rd:.3f}"))
    for selection in chain.selections:
        decision = "kept" if selection.kept else f"dropped by {selection.reason}"
        rank = f", rank {selection.rank}" if selection.rank else ""
        branch.add(Text(f"selection as {selection.condition}: {decision}{rank}"))
    for example in chain.examples:
        branch.add(Text(f"training example {example.example_id}: {example.condition}, "
                        f"{example.num_tokens} tokens", style="green"))  # fmt: skip
    for rejection in chain.rejections:
        branch.add(Text(f"rejected by {rejection.stage}: {rejection.reason}"))
    for child in chain.children:
        _add_chain(branch, child)


def _chain_title(chain: Chain) -> str:
    name = title_of(chain.kind).format(
        kind=plain(chain.kind), candidate=chain.candidate, level=chain.level, round=chain.round
    )
    marks = [f"{chain.num_tokens} tokens", chain.verdict + _stated(chain.stated_as)]
    marks += ["kept round"] if chain.chosen else []
    marks += [chain.stop_reason] if chain.stop_reason not in ("", "stop") else []
    return f"{name} [{chain.rationale_id[:8]}, {', '.join(marks)}]"


def _stated(stated_as: str | None) -> str:
    """How the answer was found, e.g. " by box"; rows of older versions do not say."""
    return f" by {plain(stated_as).replace('_', ' ')}" if stated_as else ""


def print_status(database: Database, corpus: str) -> None:
    """Rows by table as `litecot sql` names it, runs, and how their invocations ended."""
    from tasks.schemas import TABLES

    console = page()
    console.print(f"corpus {corpus}", markup=False)
    counts = Table("table", "rows", header_style="bold")
    stored = dict(database.run_file("status", "stored_rows").rows)
    for table in TABLES:
        counts.add_row(f"raw_{table}", str(stored.get(table, 0)))
    console.print(counts)
    runs = Table(
        "recipe", "run", "started", "ended", "requests", "lost replies", header_style="bold"
    )
    for row in database.run_file("status", "runs_and_invocations").rows:
        runs.add_row(*(Text(plain(value)) for value in row))
    console.print(runs)


def print_recipes() -> None:
    """Name, what it does, which models it wants."""
    from flows.recipes.loading import load_recipe, shipped_recipes

    table = Table("recipe", "what it does", "models", header_style="bold")
    for name in shipped_recipes():
        recipe = load_recipe(name)
        roles: dict[str, Any] = {
            role: getattr(recipe.models, role) for role in ("teacher", "compressor", "student")
        }
        models = "\n".join(f"{role}: {m.model}" for role, m in roles.items() if m)
        table.add_row(name, recipe.description, models)
    page().print(table)


def print_questions() -> None:
    """What `litecot ask` can answer."""
    from sql.questions import questions

    table = Table("litecot ask", "question", header_style="bold")
    for name, asked in questions().items():
        table.add_row(name, asked)
    page().print(table)
