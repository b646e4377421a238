"""How well the students of the replication are forecast, each from the others (MACC 2.4).

Invariant: only students of what was asked count, each told by its training set as it was before
training; too few of them are a sentence, not a table.

A sample: forecast_section("corpus", results) begins "## Forecast" and has a row a prompt and target
"""

from __future__ import annotations

from flows.progress.forecasts import error_amount, prompt_words
from flows.replication.results import Results
from flows.replication.state import reading
from flows.replication.words import marked
from infra.runs.forecasts import evaluated_students
from tasks.forecasts.config import ForecastConfig
from tasks.forecasts.students import Quality, TooFewStudentsError, quality

HEAD = """
## Forecast

Every student forecast from all the others, by features of its training set that are known before
training (Bayesian ridge regression): how far off on average, beside saying the mean of the others,
how often the truth lay in the 90% interval, and Spearman's correlation of forecast and truth.
"""
COLUMNS = (
    "prompt", "target", "students", "off by", "saying the mean", "in the interval",
    "rank correlation",
)  # fmt: skip


def forecast_section(corpus: str, results: Results) -> str:
    """Markdown, "" where nothing is done yet."""
    ids = {student.trained["model_id"] for student in results.students}
    with reading(corpus) as database:
        if database is None or not ids:
            return ""
        known = [one for one in evaluated_students(database) if one.model_id in ids]
    try:
        rows = [_cells(one) for one in quality(known, ForecastConfig())]
    except TooFewStudentsError as error:
        return f"{HEAD}\nNot told: {error}.\n"
    table = [COLUMNS, ("---",) * len(COLUMNS), *rows]
    return "\n".join([HEAD, *(f"| {' | '.join(row)} |" for row in table), ""])


def _cells(one: Quality) -> tuple[str, ...]:
    correlation = one.rank_correlation
    return (
        marked(prompt_words(one.group.compress)), one.target, str(one.num_models),
        error_amount(one.target, one.error), error_amount(one.target, one.error_of_mean),
        f"{one.share_inside:.0%}", "" if correlation is None else f"{correlation:.2f}",
    )  # fmt: skip
