"""Models against a baseline on the questions both answered, under the same settings.

Invariant: answers of different settings (sampling, template) never meet, those to plain prompts and
to `<compress>` only where a person says so (`trained:plain trained:compress`); the p values behind
the verdicts are corrected for all comparisons made at once.

    compare_models(database, ["nano:student", "3f2a"]).rows[0].found.accuracy.difference == 0.045
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from flows.comparison import MARGIN
from flows.comparison.named import Named, find_models
from flows.evaluations.metrics import outcomes_of, settings_words
from sql.database import Database, did_you_mean
from tasks.errors import UsageError

if TYPE_CHECKING:
    from tasks.statistics.intervals import Accuracy
    from tasks.statistics.outcomes import Outcomes
    from tasks.statistics.paired import Comparison, Verdict

Prompts = Literal["both", "plain", "compress"]
NUM_EXAMPLES = 2  # of flips, each way
KIND = "comparisons"


class NothingInCommonError(UsageError):
    """The models answered no question under the same settings."""


class Asked(NamedTuple):
    """What one model was asked, and how."""

    benchmark: str
    compress: bool
    settings: str

    @property
    def prompt(self) -> str:
        return "<compress>" if self.compress else "plain"


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one model answered to a question that flipped."""

    num_correct: int
    num_samples: int
    answer: str | None
    mean_tokens: float


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A question that one model answers better; `won`: the second."""

    won: bool
    problem_id: str
    question: str
    answer: str  # gold
    first: Side
    second: Side


@dataclass(frozen=True, kw_only=True)
class Row:
    """A model against the baseline on one benchmark; mostly both were asked alike."""

    model: Named
    asked: Asked
    first_asked: Asked  # the baseline
    found: Comparison
    verdict: Verdict
    first_accuracy: Accuracy
    second_accuracy: Accuracy
    first_answered: int  # questions; the comparison is of those that both answered
    second_answered: int
    flips: tuple[Flip, ...]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """All rows, the models in the order they were named, benchmarks and prompts sorted."""

    baseline: Named
    models: tuple[Named, ...]
    rows: tuple[Row, ...]
    margin: float
    alone: tuple[tuple[Named, Asked], ...]  # asked of the baseline or of the model only


Answered = dict[Asked, "Outcomes"]
Pair = tuple[Named, Asked, Asked]  # the model, what the baseline and what the model was asked


def compare_models(
    database: Database,
    names: Sequence[str],
    *,
    benchmarks: Sequence[str] = (),
    prompts: Prompts = "both",
    margin: float = MARGIN,
    num_examples: int = NUM_EXAMPLES,
) -> Compared:
    """The first of `names` is the baseline. Empty `benchmarks`: all that both were asked.

    `margin`: a difference of accuracy that does not matter, 0..1.
    Raises UnknownModelError, NothingInCommonError, UsageError.
    """
    if len(names) < 2:
        raise UsageError("name two models or more; the first is the baseline")
    baseline, *models = find_models(database, names)
    answered = _answers(database, [baseline, *models], benchmarks=benchmarks, prompts=prompts)
    pairs = [pair for model in models for pair in _shared(answered, baseline, model)]
    rows = _rows(answered, baseline, pairs, margin=margin)
    return Compared(
        baseline=baseline,
        models=tuple(models),
        rows=tuple(_with_flips(database, baseline, row, limit=num_examples) for row in rows),
        margin=margin,
        alone=tuple(_alone(answered, baseline, pairs)),
    )


def _answers(
    database: Database, models: Sequence[Named], *, benchmarks: Sequence[str], prompts: Prompts
) -> dict[Named, Answered]:
    ids = [model.model_id for model in models]
    rows = database.run_file(
        KIND, "questions_of_models", variables={"models": json.dumps(ids)}
    ).records()
    known = {row["benchmark"] for row in rows}
    for name in benchmarks:
        if name not in known:
            meant = did_you_mean(name, known)
            raise UsageError(
                f"--on {name}: these models were not asked it. {meant}They were asked "
                f"{', '.join(sorted(known))}"
            )
    grouped: dict[str, dict[Asked, list[dict[str, Any]]]] = {one: {} for one in ids}
    for row in rows:
        if not benchmarks or row["benchmark"] in benchmarks:
            asked = Asked(row["benchmark"], row["compress"], row["settings"])
            grouped[row["model_id"]].setdefault(asked, []).append(row)
    return {
        model: {
            asked: outcomes_of(some)
            for asked, some in grouped[model.model_id].items()
            if (wanted := model.prompt or prompts) == "both"
            or asked.compress == (wanted == "compress")
        }
        for model in models
    }


def _shared(answered: dict[Named, Answered], baseline: Named, model: Named) -> list[Pair]:
    first, second = answered[baseline], answered[model]
    across = baseline.prompt is not None or model.prompt is not None
    shared = [
        (model, of_first, of_second)
        for of_second in sorted(second)
        for of_first in sorted(first)
        if (of_first.benchmark, of_first.settings) == (of_second.benchmark, of_second.settings)
        and (across or of_first.compress == of_second.compress)
        and (baseline.model_id, of_first) != (model.model_id, of_second)
        and set(first[of_first].questions) & set(second[of_second].questions)
    ]
    if not shared:
        raise NothingInCommonError(
            f"{baseline.name} and {model.name} answered no question under the same settings: "
            f"{baseline.name} {_listed(first)}; {model.name} {_listed(second)}"
        )
    return shared


def _listed(answered: Answered) -> str:
    if not answered:
        return "was asked none of it"
    return "was asked " + ", ".join(
        f"{asked.benchmark} {asked.prompt} ({len(outcomes)} questions; "
        f"{settings_words(asked.settings)})"
        for asked, outcomes in sorted(answered.items())
    )


def _rows(
    answered: dict[Named, Answered],
    baseline: Named,
    pairs: Sequence[Pair],
    *,
    margin: float,
) -> list[Row]:
    from tasks.statistics.intervals import accuracy_of
    from tasks.statistics.paired import compare, verdicts

    rows, first = [], answered[baseline]
    found = [
        compare(first[of_first], answered[model][of_second]) for model, of_first, of_second in pairs
    ]
    said = verdicts(found, margin=margin)
    for (model, first_asked, asked), one, verdict in zip(pairs, found, said, strict=True):
        of_first, of_second = (
            accuracy_of(some.accuracy, some.clusters, num_samples=some.num_samples)
            for some in (one.first, one.second)
        )
        rows.append(
            Row(
                model=model,
                asked=asked,
                first_asked=first_asked,
                found=one,
                verdict=verdict,
                first_accuracy=of_first,
                second_accuracy=of_second,
                first_answered=len(first[first_asked]),
                second_answered=len(answered[model][asked]),
                flips=(),
            )
        )
    return rows


def _with_flips(database: Database, baseline: Named, row: Row, *, limit: int) -> Row:
    if not limit or not row.found.num_won + row.found.num_lost:
        return row
    flipped = database.run_file(
        KIND,
        "flipped_questions",
        variables={
            "first": baseline.model_id, "first_compress": row.first_asked.compress,
            "second": row.model.model_id, "second_compress": row.asked.compress,
            "benchmark": row.asked.benchmark, "settings": row.asked.settings,
            "num_examples": limit,
        },
    )  # fmt: skip
    return replace(row, flips=tuple(map(_flip, flipped.records())))


def _flip(row: dict[str, Any]) -> Flip:
    first, second = (
        Side(
            num_correct=row[f"{side}_correct"], num_samples=row[f"{side}_samples"],
            answer=row[f"{side}_answer"], mean_tokens=row[f"{side}_tokens"],
        )
        for side in ("first", "second")
    )  # fmt: skip
    return Flip(
        won=row["won"], problem_id=row["problem_id"], question=row["question"] or "",
        answer=row["answer"] or "", first=first, second=second,
    )  # fmt: skip


def _alone(
    answered: dict[Named, Answered], baseline: Named, pairs: Sequence[Pair]
) -> list[tuple[Named, Asked]]:
    """What the baseline or a model was asked, and is in no pair."""
    used = {(baseline, of_first) for _, of_first, _ in pairs}
    used |= {(model, of_second) for model, _, of_second in pairs}
    every = [(model, asked) for model, some in answered.items() for asked in sorted(some)]
    return [one for one in every if one not in used]
