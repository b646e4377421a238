"""What the page says of what went wrong: records rejected, rationales dropped, faults survived.

Invariant: reasons are the corpus' own words; a fault that did not happen has no row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.page import charts
from flows.page.figures import (
    Columns,
    Figure,
    Rows,
    Section,
    count,
    figure,
    listed,
    plainly,
    rows_of,
    share,
    shortened,
    spoken,
    table,
    words,
)

if TYPE_CHECKING:
    from sql.database import Database


FAULTS = {
    "invocations_not_done": "times the command did not come to its end",
    "requests_repeated": "requests sent again after a lost reply",
    "rationales_cut_off": "rationales that reached the limit of tokens",
    "answers_cut_off": "answers in evaluation that reached the limit of tokens",
    "verdict_disagreements": "rationales whose source graded them otherwise than we do",
    "examples_too_long": "examples too long to train on",
    "training_attempts_lost": "attempts of training lost to a worker or driver",
}


def faults(database: Database) -> Section:
    """By reason, the most frequent first."""
    rejected = plainly(rows_of(database, "marts", "rejections_by_reason"), "stage")
    decided = rows_of(database, "marts", "selection_by_filter")
    found = rows_of(database, "report", "faults")
    figures = [_rejected(rejected)] if rejected else []
    figures += (
        [_dropped(dropped)] if (dropped := [r for r in decided if r["filter"] != "kept"]) else []
    )
    if found:
        rows = [{**row, "fault": FAULTS.get(row["fault"], spoken(row["fault"]))} for row in found]
        told = "; ".join(f"{row['fault']}: {count(row['num_cases'])}" for row in rows) + "."
        columns: Columns = {"fault": "fault", "num_cases": ("cases", count)}
        figures.append(figure("faults", "Faults", told, table(rows, "Faults", columns), None))
    nothing = "" if figures else "Nothing was rejected or dropped, and there was no fault."
    return Section(key="faults", title="Faults and rejections", figures=figures, nothing=nothing)


def _rejected(rejected: Rows) -> Figure:
    rows = [
        {
            **row,
            "why": shortened(f"{spoken(row['reason'])} ({row['stage']})", 60),
            "label": count(row["num_records"]),
        }
        for row in rejected
    ]
    told = listed([f"{row['label']} {row['why']}" for row in rows[:5]]) + " were rejected."
    columns: Columns = {
        "stage": "stage",
        "why": "why",
        "num_records": ("records", count),
        "num_problems": ("problems", count),
        "sample_detail": "e.g.",
    }
    return figure(
        "rejected",
        "Rejected, by reason",
        told,
        table(rows, "Rejected records by reason", columns),
        charts.bars(rows[:12], y="why", x="num_records", label="label", title="records"),
    )


def _dropped(dropped: Rows) -> Figure:
    rows = [
        {
            **row,
            "why": shortened(f"{spoken(row['reason'])} ({words(row['condition'])})", 60),
            "label": count(row["num_rationales"]),
        }
        for row in dropped
    ]
    told = listed([f"{row['label']} {row['why']}" for row in rows[:5]]) + " were not kept."
    columns: Columns = {
        "condition": "selected as",
        "filter": "filter",
        "why": "why",
        "num_rationales": ("rationales", count),
        "share": ("share", share),
    }
    return figure(
        "dropped",
        "Dropped by selection, by reason",
        told,
        table(rows, "Rationales that selection dropped", columns),
        charts.bars(rows[:12], y="why", x="num_rationales", label="label", title="rationales"),
    )
