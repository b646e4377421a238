"""How long answers are, and what a correct one costs.

Invariant: samples are averaged by question first, so a question with more samples counts no more;
quantiles are of single answers. Intervals: tasks/statistics/clusters.py.

    tokens_per_correct(outcomes) == Ratio(value=140.0, interval=Interval(118.2, 165.8), ...)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.statistics.clusters import Interval, Ratio, quantile_of, ratio_of
from tasks.statistics.outcomes import Counts, Floats, Outcomes


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Of single answers, in tokens."""

    median: float
    median_interval: Interval | None
    p95: float
    p95_interval: Interval | None


def mean_tokens(outcomes: Outcomes) -> Ratio:
    """Tokens of an answer, the mean over questions."""
    return ratio_of(outcomes.mean_tokens, np.ones(len(outcomes)), outcomes.clusters)


def tokens_per_correct(outcomes: Outcomes) -> Ratio:
    """All tokens written by all correct answers: what one of them costs. NaN: none is correct."""
    return ratio_of(outcomes.mean_tokens, outcomes.accuracy, outcomes.clusters)


def lengths_of(num_tokens: Floats, clusters: Counts) -> Lengths:
    """Median and 95th percentile of answers; shapes (answers,), `clusters` says whose family."""
    median, around_median = quantile_of(num_tokens, clusters, 0.5)
    p95, around_p95 = quantile_of(num_tokens, clusters, 0.95)
    return Lengths(median=median, median_interval=around_median, p95=p95, p95_interval=around_p95)
