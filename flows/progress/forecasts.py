"""Forecasts in words, for the terminal and Prefect's log.

A sample: "eval.jsonl, with <compress>: accuracy 31% (24% to 39%), 38 tokens (33 to 45)"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tasks.schemas import Forecast


def amount(target: str, value: float) -> str:
    """A share as percent, tokens as a whole number."""
    return f"{value:.0%}" if target == "accuracy" else f"{value:.0f}"


def expected(row: Forecast) -> str:
    """One target with its interval."""
    low, high = (amount(row.target, value) for value in (row.low, row.high))
    value = amount(row.target, row.predicted)
    told = f"accuracy {value}" if row.target == "accuracy" else f"{value} tokens"
    return f"{told} ({low} to {high})"


def errors(row: Forecast) -> str:
    """How far it is off where the truth is known, and whether the plain mean is as good."""
    error, mean = (error_amount(row.target, e) for e in (row.loo_error, row.loo_error_of_mean))
    verdict = "" if row.loo_error < row.loo_error_of_mean else ": no better"
    return f"{row.target} {error} off (saying the mean: {mean}{verdict})"


def error_amount(target: str, error: float) -> str:
    """A difference of shares in points."""
    return f"{100 * error:.1f} points" if target == "accuracy" else f"{error:.1f}"


def prompt_words(compress: bool) -> str:
    """How a table calls the prompt."""
    return "with <compress>" if compress else "plain"


def together(rows: Iterable[Forecast]) -> list[list[Forecast]]:
    """The targets of one student, benchmark, settings and prompt."""
    found: dict[tuple[Any, ...], list[Forecast]] = {}
    for row in rows:
        key = (row.recipe, row.model_id, row.benchmark, row.settings, row.compress)
        found.setdefault(key, []).append(row)
    return list(found.values())


def forecast_lines(rows: Sequence[Forecast]) -> list[str]:
    """A line a benchmark and prompt."""
    return [
        f"{some[0].benchmark}, {prompt_words(some[0].compress)}: {', '.join(map(expected, some))}; "
        f"from {some[0].num_models} students; leaving one out {'; '.join(map(errors, some))}"
        for some in together(rows)
    ]


def truth_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """What was forecast and what came, a line a benchmark, prompt and target."""
    lines = []
    for row in rows:
        predicted, low, high, truth = (
            amount(row["target"], row[name]) for name in ("predicted", "low", "high", "truth")
        )
        where = "within" if row["is_inside"] else "outside"
        lines.append(
            f"{row['benchmark']}, {prompt_words(row['compress'])}: {row['target']} forecast as "
            f"{predicted} ({low} to {high}) came to {truth}, {where} the interval"
        )
    return lines
