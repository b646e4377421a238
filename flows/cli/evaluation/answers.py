"""`litecot show MODEL`: what an evaluated model is, how it did, and what it answered.

Invariant: answers to one benchmark, one prompt and the same settings stand together, never with
others; what a model wrote is only text.

    the trained student 3f2a91c0d5e6b774, from nano:student
    nano:eval, plain (max_tokens 500, temperature 0.0): 41.5% of 200 questions, ...
      9f0c2d1e  What is 3 + 1?   4   says 4   correct   61 tokens
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from rich.table import Table

from flows.comparison.named import Named, evaluated_models
from flows.evaluations.metrics import ALL, settings_words
from flows.progress.consoles import page
from flows.progress.text import say, shown
from sql.database import Database
from sql.lineage import is_about_a_problem

MOST = 20  # answers of each benchmark, settings and prompt
QUESTION = 60  # characters
ASKED = ("benchmark", "settings", "compress")
_Row = Mapping[str, Any]


def model_named(database: Database, name: str) -> Named | None:
    """The evaluated or trained model of that id, its start, or the run's "base" or "trained".

    None where no model or several are called so, or a row about a problem is too.
    """
    models = evaluated_models(database)
    if exact := [model for model in models if model.model_id == name]:
        return exact[0]
    of_run = [model for model in models if model.is_of_run and model.role == name]
    starting = [model for model in models if name and model.model_id.startswith(name.lower())]
    found = of_run or ([] if is_about_a_problem(database, name) else starting)
    return found[0] if len(found) == 1 else None


def print_answers(database: Database, model: Named) -> None:
    """Per benchmark, settings and prompt: how it did, and its first answers."""
    came_from = f", from {model.base}" if model.base else ""
    say(f"{model.title if model.role != 'trained' else model.model_id}{came_from}")
    rows = database.run_file(
        "comparisons", "answers_of_model", variables={"model": model.model_id, "most": MOST}
    ).records()
    if not rows:
        say("nobody has evaluated it: `litecot evaluate` asks it")
        return
    figures = {
        tuple(row[name] for name in ASKED): row
        for row in database.rows_of("evaluations_by_level").records()
        if row["model_id"] == model.model_id and row["level"] == ALL
    }
    for asked, answers in groupby(rows, key=itemgetter(*ASKED)):
        _print_asked(figures[asked], list(answers))
    say("an answer in full: litecot show PROBLEM; all of them: litecot sql "
        f"\"from evaluated_answers where model_id = '{model.model_id}'\"")  # fmt: skip


def _print_asked(figures: _Row, answers: Sequence[_Row]) -> None:
    how = "with <compress>" if figures["compress"] else "plain"
    say(
        f"{figures['benchmark']}, {how} ({settings_words(figures['settings'])}):"
        f" {figures['accuracy']:.1%} of {figures['num_questions']} questions,"
        f" {figures['mean_tokens']:.0f} tokens, {figures['share_cut_off']:.1%} cut off"
    )
    table = Table(header_style="bold")
    for name in ("problem", "question", "gold", "says", "verdict", "tokens"):
        table.add_column(name, justify="right" if name == "tokens" else "left")
    for row in answers:
        cut = " (cut off)" if row["is_cut_off"] else ""
        table.add_row(
            shown(row["problem_id"][:8]), shown(_short(row["question"])),
            shown(_short(row["answer"])), shown(_short(row["extracted_answer"])),
            shown(row["verdict"] + cut), str(row["num_tokens"]),
        )  # fmt: skip
    page().print(table)
    left = figures["num_answers"] - len(answers)
    if left:
        say(f"and {left} more")


def _short(text: str | None) -> str:
    line = " ".join((text or "-").split())
    return line if len(line) <= QUESTION else line[: QUESTION - 1] + "…"
