"""How sure an accuracy is: intervals that hold near 0 and 1, with few questions, in families.

Invariant: an interval lies within 0..1, and is never a point: what all answers agree on is still
only known from so many families.

The cluster-robust variance says how many independent questions the answers are worth (Korn and
Graubard 1998), and statsmodels' interval of a proportion is taken at that number. What was tried,
and how often each holds the truth: docs/evaluation.md, docs/decisions/0097.

    accuracy_of(outcomes.accuracy, outcomes.clusters, num_samples=outcomes.num_samples)
    == Accuracy(value=0.9, interval=Interval(0.74, 0.97), exact=(0.73, 0.98), ...)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tasks.statistics.clusters import LEVEL, Interval, Mean, mean_of
from tasks.statistics.outcomes import Counts, Floats

FEW_QUESTIONS = 300  # below, exact intervals are shown beside (arXiv 2503.01747)
Method = Literal["wilson", "beta", "jeffreys"]


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """`exact` is Clopper and Pearson's, `bayes` the Beta posterior under Jeffreys' prior."""

    value: float
    interval: Interval
    exact: Interval
    bayes: Interval
    num_questions: int
    num_families: int
    effective: float  # independent questions that the answers are worth


def accuracy_of(
    values: Floats, clusters: Counts, *, num_samples: Counts | None = None, level: float = LEVEL
) -> Accuracy:
    """The mean of `values` (0..1, one a question: mean@k, pass@k, maj@k) and its intervals.

    `num_samples`: what each value is the mean of; None: of one, also for pass@k and maj@k.
    Raises ValueError without a question.
    """
    if not len(values):
        raise ValueError("an accuracy needs a question")
    mean = mean_of(values, clusters)
    total = len(values) if num_samples is None else int(num_samples.sum())
    effective = effective_questions(mean, most=total)
    return Accuracy(
        value=mean.value,
        interval=interval_at(mean.value, effective, method="wilson", level=level),
        exact=interval_at(mean.value, effective, method="beta", level=level),
        bayes=interval_at(mean.value, effective, method="jeffreys", level=level),
        num_questions=mean.num_questions,
        num_families=mean.num_families,
        effective=effective,
    )


def effective_questions(mean: Mean, *, most: int) -> float:
    """p (1 - p) / variance, made safe; at most `most`, the number of samples.

    Questions of no family, answered once, are what they are. Else the variance is believed as far
    as right and wrong answers show it: 4 p (1 - p) of the families, against one family that says
    "all samples of a question agree"; only several samples a question can vary less than that. Few
    families are worth less: by the square of the ratio of Student's t for questions and families.
    """
    from scipy import stats

    if mean.num_families == mean.num_questions == most:
        return float(most)
    spread = mean.value * (1 - mean.value)
    if mean.variance is None or spread <= 0:
        return float(mean.num_families)
    weight = 4 * spread * mean.num_families
    agreed = spread / mean.num_questions
    variance = max(mean.variance, (weight * mean.variance + agreed) / (weight + 1))
    few = stats.t.ppf(0.975, [mean.num_questions - 1, mean.num_families - 1])
    return float(min(spread / variance * (few[0] / few[1]) ** 2, most))


def interval_at(value: float, effective: float, *, method: Method, level: float) -> Interval:
    """statsmodels' interval of a proportion; `effective` need not be whole."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(value * effective, effective, alpha=1 - level, method=method)
    return Interval(
        0.0 if np.isnan(low) else max(0.0, float(low)),
        1.0 if np.isnan(high) else min(1.0, float(high)),
    )
