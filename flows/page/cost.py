"""What the page says of cost and time: by stage, by model.

Invariant: a price is there only where the recipe states one; wall times are those of invocations
that came to an end, whichever way.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from flows.page import charts
from flows.page.figures import (
    NONE,
    Columns,
    Figure,
    Rows,
    Section,
    amount,
    count,
    figure,
    plainly,
    rows_of,
    seconds,
    shortened,
    table,
    words,
)

if TYPE_CHECKING:
    from sql.database import Database


def cost(database: Database) -> Section:
    """Tokens, requests and price; wall time."""
    asked = plainly(rows_of(database, "report", "usage_and_price"), "stage", "model")
    times = plainly(rows_of(database, "report", "stage_times"), "stage")
    figures = []
    if asked:
        figures.append(_usage(asked))
    if times:
        rows = [{**row, "label": seconds(row["wall_seconds"])} for row in times]
        longest = max(rows, key=lambda row: row["wall_seconds"])
        columns: Columns = {
            "stage": "stage",
            "label": ("wall time", str),
            "num_rows": ("new rows", count),
            "num_invocations": ("times it was called", count),
        }
        told = f"{longest['stage']} took longest, {longest['label']}; stages overlap."
        figures.append(
            figure(
                "times",
                "Time by stage",
                told,
                table(rows, "Time by stage", columns),
                charts.bars(
                    rows, y="stage", x="wall_seconds", label="label", title="wall time, seconds"
                ),
            )
        )
    nothing = "" if figures else "No model was asked, and no invocation came to its end."
    return Section(key="cost", title="Cost and time", figures=figures, nothing=nothing)


def _usage(asked: Rows) -> Figure:
    stages = Counter(row["stage"] for row in asked)
    rows = [
        {
            **row,
            "label": count(row["completion_tokens"]),
            "name": row["stage"]
            if stages[row["stage"]] == 1
            else shortened(f"{row['stage']} {row['model']}", 24),
            "price": f"{amount(row['price'])} {words(row['currency'])}"
            if row["price"] is not None
            else NONE,
        }
        for row in asked
    ]
    most = max(rows, key=lambda row: row["completion_tokens"])
    told = (
        f"{most['model']} wrote most, {most['label']} tokens for {most['stage']} in "
        f"{count(most['num_requests'])} requests."
    )
    columns: Columns = {
        "stage": "stage",
        "model": "model",
        "num_requests": ("requests", count),
        "prompt_tokens": ("tokens read", count),
        "completion_tokens": ("tokens written", count),
        "request_seconds": ("waited, seconds", amount),
        "price": ("price", str),
    }
    return figure(
        "usage",
        "Tokens by stage and model",
        told,
        table(rows, "Requests, tokens and price by stage and model", columns),
        charts.bars(
            rows,
            y="name",
            x="completion_tokens",
            label="label",
            title="tokens written",
            colour="model",
        ),
    )
