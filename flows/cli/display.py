"""Prints what the reading commands found. What a model wrote is never markup or a control code.

A sample: `print_result(Result(columns=("a",), types=("INTEGER",), rows=[(1,)]), "csv")`.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from flows.cli.spelling import cell, json_text, unique_names
from flows.evaluations.metrics import settings_words
from flows.progress.consoles import console, page
from flows.progress.text import plain, print_json, shown
from tasks.catalog import title_of
from tasks.errors import UsageError

if TYPE_CHECKING:
    from sql.database import Result
    from sql.lineage import Chain, EvaluationLine, Lineage

FORMATS = ("table", "csv", "json")
ROLES = ("teacher", "compressor", "student")
MAX_RECORDS = 50  # rows shown one column a line where a table does not fit


def check_format(name: str) -> None:
    """Raises UsageError."""
    if name not in FORMATS:
        raise UsageError(f"--format {name}: choose one of {', '.join(FORMATS)}")


def print_result(result: Result, output: str, stream: TextIO | None = None) -> None:
    """A query's result as a table for eyes, or as CSV or JSON for programs."""
    if output == "table":
        print_table(result, console(file=stream or sys.stdout))
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
        writer.writerow([plain(name) for name in columns])
        writer.writerows([None if v is None else cell(v) for v in row] for row in rows)
    else:
        _print_json(columns, rows, stream)


def _print_json(columns: Sequence[str], rows: Iterable[Sequence[Any]], stream: TextIO) -> None:
    """What `json.dump` of the list writes with an indent of 2; every column, whatever its name."""
    before, after = "[", "[]\n"
    names = unique_names(columns)
    for row in rows:
        text = json_text(dict(zip(names, row, strict=True)), indent=2)
        stream.write(before + "\n  " + text.replace("\n", "\n  "))
        before, after = ",", "\n]\n"
    stream.write(after)


def print_table(result: Result, screen: Console, *, chops: bool = False) -> None:
    """`chops`: whoever shows it cuts long lines, so that a table of many rows need not fit."""
    table = Table(header_style="bold")
    for name, kind in zip(result.columns, result.types, strict=True):
        is_number = any(word in kind for word in ("INT", "DOUBLE", "DECIMAL", "FLOAT"))
        title = shown(name)  # a name is no markup: select x[i] is called "x[i]"
        table.add_column(title, justify="right" if is_number else "left", overflow="fold")
    for row in result.rows:
        table.add_row(*(Text(cell(value)) for value in row))
    if not screen.is_terminal:  # piped: as wide as the rows are
        screen = console(file=screen.file, width=_width(result))
    elif _width(result) > screen.width:
        if len(result.rows) <= MAX_RECORDS:
            _print_records(result, screen)
            return
        screen.width = _width(result) if chops else screen.width
    screen.print(table)
    screen.print(f"{len(result.rows)} row{'s' * (len(result.rows) != 1)}")


def _print_records(result: Result, screen: Console) -> None:
    """Row after row, a line a column: for what is wider than the terminal."""
    names = [plain(name) for name in result.columns]
    longest = max(map(len, names))
    for number, row in enumerate(result.rows, start=1):
        screen.print(Text(f"row {number}", style="bold"))
        for name, value in zip(names, row, strict=True):
            screen.print(Text(f"  {name:<{longest}}  {cell(value)}"))


def _width(result: Result) -> int:
    lines = [[plain(name) for name in result.columns], *result.rows]
    widths = [max(len(cell(row[i])) + 3 for row in lines) for i in range(len(result.columns))]
    return min(max(80, sum(widths) + 1), 500)


def print_lineage(lineage: Lineage) -> None:
    """A problem from its question to its training examples."""
    tree = Tree(shown(f"problem {lineage.problem_id}", style="bold"))
    tree.add(_block(f"question ({lineage.source}, {', '.join(lineage.splits)})", lineage.question))
    tree.add(shown(f"answer: {lineage.answer}"))
    for graded in lineage.difficulties:
        tree.add(shown(f"difficulty {graded.difficulty:.2f}: {graded.level} "
                      f"(teacher says {graded.teacher_level or 'nothing'})"))  # fmt: skip
    for chain in lineage.chains:
        _add_chain(tree, chain)
    for rejection in lineage.rejections:
        why = f"{rejection.reason}; {rejection.detail}"
        tree.add(shown(f"rejected by {rejection.stage}: {why}"))
    for settings, answers in groupby(lineage.evaluations, key=attrgetter("settings")):
        asked = tree.add(shown(f"evaluated with {settings_words(settings)}"))
        for answer in answers:
            asked.add(_block(_answer_title(answer), answer.text))
    page().print(tree)


def print_lineage_json(lineage: Lineage) -> None:
    """The same for programs."""
    print_json(asdict(lineage))


def _answer_title(answer: EvaluationLine) -> str:
    how = "with <compress>" if answer.compress else "plain"
    said = f"{answer.verdict}, says {answer.extracted_answer or 'nothing'}"
    said += _stated(answer.stated_as)
    sample = f", sample {answer.sample}" if answer.sample else ""
    cut = ", cut off" if answer.is_cut_off else ""
    return (
        f"{answer.role} {answer.model_id}, {how}{sample}: {said}, {answer.num_tokens} tokens{cut}"
    )


def _block(title: str, text: str) -> Text:
    return shown(f"{title}:\n{text}")


def _add_chain(parent: Tree, chain: Chain) -> None:
    branch = parent.add(_block(_chain_title(chain), chain.text))
    for score in chain.scores:
        branch.add(shown(f"score by {score.student}: RD {score.rd:.3f}"))
    for selection in chain.selections:
        decision = "kept" if selection.kept else f"dropped by {selection.reason}"
        rank = f", rank {selection.rank}" if selection.rank else ""
        branch.add(shown(f"selection as {selection.condition}: {decision}{rank}"))
    for example in chain.examples:
        branch.add(shown(f"training example {example.example_id}: {example.condition}, "
                        f"{example.num_tokens} tokens", style="green"))  # fmt: skip
    for rejection in chain.rejections:
        branch.add(shown(f"rejected by {rejection.stage}: {rejection.reason}"))
    for child in chain.children:
        _add_chain(branch, child)


def _chain_title(chain: Chain) -> str:
    name = title_of(chain.kind).format(
        kind=chain.kind, candidate=chain.candidate, level=chain.level, round=chain.round
    )
    marks = [f"{chain.num_tokens} tokens", chain.verdict + _stated(chain.stated_as)]
    marks += ["kept round"] if chain.chosen else []
    marks += [chain.stop_reason] if chain.stop_reason not in ("", "stop") else []
    return f"{name} [{chain.rationale_id[:8]}, {', '.join(marks)}]"


def _stated(stated_as: str | None) -> str:
    """How the answer was found, e.g. " by box"; rows of older versions do not say."""
    return f" by {plain(stated_as).replace('_', ' ')}" if stated_as else ""


def print_recipes(*, as_json: bool = False) -> None:
    """Name, what it does, which models it wants."""
    from flows.recipes.loading import load_recipe, shipped_recipes

    told: list[dict[str, Any]] = []
    for name in shipped_recipes():
        recipe = load_recipe(name)
        roles = {role: getattr(recipe.models, role) for role in ROLES}
        models = {role: one.model for role, one in roles.items() if one}
        told.append({"recipe": name, "description": recipe.description, "models": models})
    if as_json:
        print_json(told)
        return
    table = Table("recipe", "what it does", "models", header_style="bold")
    for one in told:
        lines = "\n".join(f"{role}: {model}" for role, model in one["models"].items())
        table.add_row(one["recipe"], one["description"], lines)
    page().print(table)


def print_relations(*, as_json: bool = False) -> None:
    """What can be asked, by kind."""
    from sql.database import relations
    from sql.described import kind_of, rows_of

    _print_list(
        ("kind", "relation", "one row per"),
        [(kind_of(name), name, rows_of(name)) for name in relations()], as_json=as_json,
    )  # fmt: skip


def _print_list(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, as_json: bool
) -> None:  # fmt: skip
    if as_json:
        names = [name.replace(" ", "_") for name in columns]
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    table = Table(*columns, header_style="bold")
    for row in rows:
        table.add_row(*row)
    page().print(table)


def print_relation_json(relation: str) -> None:
    """The same for programs. Raises UnknownRelationError."""
    from sql.database import connect
    from sql.described import describe

    with connect({}) as database:
        print_json(asdict(describe(database, relation)))


def print_relation(relation: str, screen: Console | None = None) -> None:
    """What its rows are, and each of its columns. Raises UnknownRelationError."""
    from sql.database import connect
    from sql.described import describe

    with connect({}) as database:
        told = describe(database, relation)
    screen = screen or page()
    screen.print(shown(f"{relation} ({told.kind}): one row per {told.rows}"))
    table = Table("column", "type", "what it is", header_style="bold")
    for column in told.columns:
        table.add_row(column.name, column.type, column.description)
    screen.print(table)


def print_questions(*, as_json: bool = False) -> None:
    """What `litecot ask` can answer."""
    from sql.questions import questions

    names = ("name", "question") if as_json else ("litecot ask", "question")
    _print_list(names, list(questions().items()), as_json=as_json)
