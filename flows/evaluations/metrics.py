"""The metrics of every evaluated model of a corpus, with intervals.

Invariants: values are those of the mart `evaluations_by_level`, intervals are computed beside them
from the same questions (tasks/statistics), at 95%; nothing is written.

A sample: Measured(row={"model_id": "nano:student", "accuracy": 0.3, ...}, intervals={"accuracy":
Interval(low=0.24, high=0.37), "exact": ..., "mean_tokens": ..., "tokens_per_correct": ...})
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from tasks.errors import UsageError, near_names

if TYPE_CHECKING:
    from sql.database import Database
    from tasks.statistics.clusters import Interval
    from tasks.statistics.outcomes import Counts, Outcomes

ALL = "all"  # the level that is all questions
SIDES = ("low", "high")
_KEY = itemgetter("model_id", "benchmark", "settings", "compress")
_Key = tuple[str, str, str, bool]
_Row = Mapping[str, Any]


class NothingEvaluatedError(UsageError):
    """The corpus has no evaluated answer, or none of what was asked for."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One row of a mart. `intervals`: column -> its interval, None where there is none to have."""

    row: Mapping[str, Any]
    intervals: Mapping[str, Interval | None]

    def record(self) -> dict[str, Any]:
        """Column -> value, each interval as <column>_low and <column>_high behind its value."""
        told: dict[str, Any] = {}
        for name, value in self.row.items():
            told[name] = value
            told |= self._ends(name)
            if name == "accuracy":
                told |= self._ends("exact")
        return told

    def _ends(self, name: str) -> dict[str, float | None]:
        if name not in self.intervals:
            return {}
        found = self.intervals[name]
        ends = (None, None) if found is None else (round(found.low, 6), round(found.high, 6))
        return {f"{name}_{side}": end for side, end in zip(SIDES, ends, strict=True)}


def measure(
    database: Database, *, by_level: bool = False, on: Sequence[str] = (), lengths: bool = False
) -> list[Measured]:
    """By benchmark, settings, model and prompt; `on`: these benchmarks only; `lengths`: with the
    intervals of median and 95th percentile, which take longest.

    Raises NothingEvaluatedError.
    """
    rows = database.rows_of("evaluations_by_level").records()
    chosen = [row for row in _on(rows, on) if by_level or row["level"] == ALL]
    questions = _grouped(database, "evaluated_questions")
    answers = _grouped(database, "evaluated_answers") if lengths else {}
    return [
        Measured(
            row=row,
            intervals=_intervals(row, questions[_KEY(row)])
            | (_lengths(row, answers[_KEY(row)]) if lengths else {}),
        )
        for row in chosen
    ]


def frontier(database: Database, *, on: Sequence[str] = ()) -> list[Measured]:
    """The mart `frontier`, with intervals. Raises NothingEvaluatedError."""
    rows = database.rows_of("frontier").records()
    chosen = _on(rows, on)
    questions = _grouped(database, "evaluated_questions")
    return [
        Measured(row=row, intervals=_intervals({**row, "level": ALL}, questions[_KEY(row)]))
        for row in chosen
    ]


def _on(rows: Sequence[dict[str, Any]], on: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of these benchmarks."""
    if not rows:
        raise NothingEvaluatedError(
            "nothing was evaluated in this corpus: run a recipe with the stage evaluate"
        )
    known = list(dict.fromkeys(row["benchmark"] for row in rows))
    for name in on:
        if name not in known:
            near = near_names(name, known)
            meant = f"did you mean {near}? " if near else ""
            raise NothingEvaluatedError(
                f"nothing was evaluated on {name!r}; {meant}there are {', '.join(known)}"
            )
    return [row for row in rows if not on or row["benchmark"] in on]


def _grouped(database: Database, relation: str) -> dict[_Key, list[_Row]]:
    rows = sorted(database.rows_of(relation).records(), key=_KEY)
    return {key: list(some) for key, some in groupby(rows, key=_KEY)}


def outcomes_of(questions: Iterable[Mapping[str, Any]]) -> Outcomes:
    """Rows of `evaluated_questions`, of one model, benchmark, settings and prompt."""
    from tasks.statistics.outcomes import Outcomes

    rows = list(questions)
    columns = ("num_correct", "num_samples", "mean_tokens", "num_cut_off", "mean_seconds")
    return Outcomes.of(
        [row["problem_id"] for row in rows],
        families=[row["family"] for row in rows],
        **{name: [row[name] for row in rows] for name in columns},
    )


def settings_words(settings: str) -> str:
    """E.g. "max_tokens 200, temperature 0.6"; what is no JSON is the run that knows."""
    try:
        values = json.loads(settings)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        return f"as in run {settings}"
    return ", ".join(f"{name} {value}" for name, value in sorted(values.items()))


def _intervals(
    row: Mapping[str, Any], questions: Sequence[Mapping[str, Any]]
) -> dict[str, Interval | None]:
    from tasks.statistics.intervals import accuracy_of
    from tasks.statistics.tokens import mean_tokens, tokens_per_correct

    chosen = _of_level(row, questions)
    outcomes = outcomes_of(chosen)
    accuracy = accuracy_of(outcomes.accuracy, outcomes.clusters, num_samples=outcomes.num_samples)
    found: dict[str, Interval | None] = {"accuracy": accuracy.interval, "exact": accuracy.exact}
    if "pass_at_k" in row:
        found |= _several(row, outcomes, [one["majority"] for one in chosen])
    found["mean_tokens"] = mean_tokens(outcomes).interval
    found["tokens_per_correct"] = tokens_per_correct(outcomes).interval
    return found


def _of_level(row: Mapping[str, Any], some: Sequence[_Row]) -> list[_Row]:
    return [one for one in some if row["level"] in (ALL, one["level"] or "ungraded")]


def _lengths(row: Mapping[str, Any], answers: Sequence[_Row]) -> dict[str, Interval | None]:
    """Of single answers, families drawn anew with all theirs."""
    import numpy as np

    from tasks.statistics.tokens import lengths_of

    chosen = _of_level(row, answers)
    clusters = np.unique([one["family"] for one in chosen], return_inverse=True)[1]
    tokens = np.array([one["num_tokens"] for one in chosen], dtype=np.float64)
    found = lengths_of(tokens, clusters)
    return {"median_tokens": found.median_interval, "p95_tokens": found.p95_interval}


def _several(
    row: Mapping[str, Any], outcomes: Outcomes, majority: Sequence[float]
) -> dict[str, Interval | None]:
    """Of what takes several samples: pass@k, maj@k."""
    import numpy as np

    from tasks.statistics.intervals import accuracy_of
    from tasks.statistics.rates import pass_at_k

    passed = pass_at_k(outcomes.num_correct, outcomes.num_samples, k=row["num_samples"])
    clusters: Counts = outcomes.clusters
    return {
        "pass_at_k": accuracy_of(passed, clusters).interval,
        "maj_at_k": accuracy_of(np.asarray(majority, dtype=np.float64), clusters).interval,
    }
