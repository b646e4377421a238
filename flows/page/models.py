"""What the page says of students: how their loss fell, how they compare, what was forecast.

Invariant: a student of the selected run is told apart from the corpus' others; intervals are those
of `litecot frontier` (flows/evaluations/metrics.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from flows.evaluations.metrics import Measured, NothingEvaluatedError, settings_words
from flows.evaluations.metrics import frontier as measured_frontier
from flows.page import charts
from flows.page.charts import BASE, OTHERS, OURS
from flows.page.figures import (
    NONE,
    Columns,
    Figure,
    Rows,
    Section,
    amount,
    count,
    figure,
    rows_of,
    seconds,
    share,
    shortened,
    table,
    words,
)

if TYPE_CHECKING:
    from sql.database import Database

MOST_PANELS = 4  # of the frontier: benchmarks, settings and sets of questions
MOST_POINTS = 40  # of a panel
MOST_FORECASTS = 12  # of a target, the latest
PROMPTS = {False: "plain", True: "<compress>"}
NEAR, NEAR_ACCURACY = 1.06, 0.04  # of points whose numbers would cover one another
SHORT_ID = 8


def model_name(row: dict[str, Any]) -> str:
    """A student by recipe and the start of its id; another by its name."""
    name, recipe = words(row["model_id"]), row.get("recipe")
    return f"{shortened(words(recipe), 26)} {name[:SHORT_ID]}" if recipe else shortened(name, 34)


def trained(database: Database) -> Section:
    """Loss curves, and the students of the run."""
    title = "Training"
    points = [
        {**row, "model": model_name(row)} for row in rows_of(database, "report", "loss_curves")
    ]
    students = rows_of(database, "marts", "training_summary")
    figures = []
    if any(row["loss"] is not None for row in points):
        figures.append(_curves(points))
    if students:
        figures.append(_students(students))
    return Section(
        key="training",
        title=title,
        figures=figures,
        nothing="" if figures else "No student was trained.",
    )


def _curves(points: Rows) -> Figure:
    told = []
    for model in dict.fromkeys(row["model"] for row in points):
        some = [row for row in points if row["model"] == model]
        losses = [row["loss"] for row in some if row["loss"] is not None]
        held = [row["held_out_loss"] for row in some if row["held_out_loss"] is not None]
        own = " (of this run)" if some[0]["is_own"] else ""
        words_held = f", held out from {amount(held[0])} to {amount(held[-1])}" if held else ""
        if losses:
            told.append(
                f"{model}{own}: loss from {amount(losses[0])} to {amount(losses[-1])}{words_held}"
            )
    columns: Columns = {
        "model": "student",
        "step": ("step", count),
        "share_done": ("done", share),
        "loss": ("loss", amount),
        "held_out_loss": ("held-out loss", amount),
        "tokens": ("tokens seen", count),
    }
    return figure(
        "loss",
        "Loss",
        f"{'; '.join(told)}. Lines: on its own examples; dashed: held out.",
        table(points, "Loss by step", columns),
        charts.curves(points),
    )


def _students(students: Rows) -> Figure:
    rows = [
        {
            **row,
            "model": words(row["model_id"])[:SHORT_ID],
            "time": seconds(row["train_seconds"]),
            "where": f"{words(row['engine'])}, ZeRO-{words(row['zero_stage'])}, "
            f"{count(row['world_size'])} on {words(row['device'])}",
        }
        for row in students
    ]
    first = rows[0]
    told = (
        f"{first['model']} learnt from {count(first['num_examples'])} examples in "
        f"{count(first['num_steps'])} steps, {first['time']}."
    )
    columns: Columns = {
        "model": "student",
        "base": "base",
        "num_examples": ("examples", count),
        "num_held_out": ("held out", count),
        "num_too_long": ("too long", count),
        "num_steps": ("steps", count),
        "train_tokens": ("tokens", count),
        "train_loss": ("loss", amount),
        "held_out_loss": ("held-out loss", amount),
        "time": ("time", str),
        "where": "on",
    }
    return figure(
        "students", "Students of this run", told, table(rows, "Students of this run", columns), None
    )


def compared(database: Database) -> Section:
    """Accuracy against tokens, of every evaluated model of the corpus."""
    title = "Students compared"
    try:
        found = measured_frontier(database)
    except NothingEvaluatedError:
        return Section(key="frontier", title=title, nothing="Nothing was evaluated.")
    own = {row["model_id"] for row in rows_of(database, "marts", "evaluation_summary")}
    groups = [list(some) for _, some in groupby(sorted(found, key=_group), key=_group)]
    groups.sort(key=lambda some: -sum(one.row["model_id"] in own for one in some))
    intro = (
        "Compared are models and prompts that were asked the same questions alike. Bars are 95% "
        "intervals; numbered points are on the frontier: none is as accurate with fewer tokens."
    )
    notes = []
    if len(groups) > MOST_PANELS:
        notes.append(f"{len(groups) - MOST_PANELS} more sets of questions: litecot frontier")
    return Section(
        key="frontier",
        title=title,
        intro=intro,
        notes=notes,
        figures=[_panel(some, own, number) for number, some in enumerate(groups[:MOST_PANELS])],
    )


def _group(one: Measured) -> tuple[str, str, str]:
    return one.row["benchmark"], one.row["settings"], one.row["question_set"]


def _panel(group: Sequence[Measured], own: set[str], number: int) -> Figure:
    ordered = sorted(group, key=lambda one: one.row["mean_tokens"])
    best = [one for one in ordered if one.row["is_on_frontier"]]
    rows = []
    for one in ordered:
        row = one.row
        is_own = row["model_id"] in own
        who = BASE if row["role"] == "base" else OURS if is_own else OTHERS
        rows.append(
            {
                "model": shortened(words(row["model_id"]), 40),
                "who": who,
                "prompt": PROMPTS[row["compress"]],
                "number": str(best.index(one) + 1) if one in best else "",
                "accuracy": row["accuracy"],
                "tokens": row["mean_tokens"],
                "cut_off": row["share_cut_off"],
                **_ends(one, "accuracy", "accuracy"),
                **_ends(one, "mean_tokens", "tokens"),
            }
        )
    shown = sorted(rows, key=lambda row: (row["number"] == "", row["who"] == OTHERS))[:MOST_POINTS]
    shown.sort(key=lambda row: row["tokens"])
    _mark([row for row in rows if row["number"]])
    told = "; ".join(
        f"{row['number']} {row['model']} ({row['prompt']}) {share(row['accuracy'])} with "
        f"{amount(row['tokens'])} tokens"
        for row in rows
        if row["number"]
    )
    head = group[0].row
    more = (
        f" {len(rows) - len(shown)} more are in the table only." if len(rows) > len(shown) else ""
    )
    title = shortened(words(head["benchmark"]), 60)
    columns: Columns = {
        "number": "no.",
        "model": "model",
        "who": "",
        "prompt": "prompt",
        "accuracy": ("accuracy", share),
        "accuracy_low": ("from", share),
        "accuracy_high": ("to", share),
        "tokens": ("mean tokens", amount),
        "tokens_low": ("from", amount),
        "tokens_high": ("to", amount),
        "cut_off": ("cut off", share),
    }
    questions = f"{count(head['num_questions'])} question{'s' * (head['num_questions'] != 1)}"
    caption = f"{title}, {questions}; {settings_words(head['settings'])}"
    return figure(
        f"frontier-{number}",
        title,
        f"On the frontier: {told}.{more}",
        table(rows, words(caption), columns),
        charts.frontier(shown),
    )


def _mark(best: Rows) -> None:
    """The numbers as they are drawn: of points close to one another the first has them all."""
    first: dict[str, Any] | None = None
    for row in best:
        row["mark"] = row["number"]
        is_near = first is not None and (
            row["tokens"] < first["tokens"] * NEAR
            and row["accuracy"] - first["accuracy"] < NEAR_ACCURACY
        )
        if first is not None and is_near:
            first["mark"] = f"{first['number']}–{row['number']}"  # noqa: RUF001
            row["mark"] = ""
        else:
            first = row


def _ends(one: Measured, column: str, name: str) -> dict[str, float]:
    value, interval = one.row[column], one.intervals.get(column)
    low, high = (value, value) if interval is None else (interval.low, interval.high)
    return {f"{name}_low": low, f"{name}_high": high}


def forecasts(database: Database) -> Section:
    """What students were forecast to come to, and what they came to."""
    title = "Forecast against truth"
    rows = [
        {
            **row,
            "asked": shortened(
                f"{words(row['model_id'])[:SHORT_ID]} {words(row['benchmark'])}"
                f"{', <compress>' if row['compress'] else ''}",
                40,
            ),
        }
        for row in rows_of(database, "marts", "forecasts_against_truth")
    ]
    if not rows:
        return Section(
            key="forecasts", title=title, nothing="No forecast student has been evaluated."
        )
    figures = []
    for target, form in (("accuracy", share), ("tokens", amount)):
        some = [row for row in rows if row["target"] == target]
        if some:
            figures.append(_forecasts(some, target, form))
    return Section(key="forecasts", title=title, figures=figures)


def _forecasts(rows: Rows, target: str, form: Any) -> Figure:
    latest = rows[-MOST_FORECASTS:]
    inside = sum(row["is_inside"] for row in latest)
    last = latest[-1]
    told = (
        f"Of {len(latest)} forecasts of {target}, the latest, {inside} had what came inside the "
        f"{share(last['level'])} interval; the last said {form(last['predicted'])}, and "
        f"{form(last['truth'])} came."
    )
    rows = [
        {
            **row,
            "inside": "yes" if row["is_inside"] else "no",
            "before": {True: "yes", False: "no", None: NONE}[row["is_told_before"]],
        }
        for row in rows
    ]
    columns: Columns = {
        "asked": "student and questions",
        "recipe": "recipe",
        "predicted": ("forecast", form),
        "low": ("from", form),
        "high": ("to", form),
        "truth": ("came", form),
        "inside": "inside",
        "before": "told before",
        "num_models": ("students it rests on", count),
    }
    title = "Accuracy" if target == "accuracy" else "Tokens of an answer"
    return figure(
        f"forecast-{target}",
        title,
        told,
        table(rows[::-1], f"Forecasts of {target}", columns),
        charts.forecasts(
            latest,
            title=f"{title.lower()}: interval, forecast, what came",
            is_share=target == "accuracy",
        ),
    )
