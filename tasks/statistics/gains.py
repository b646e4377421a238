"""A paired difference in any unit (nats, points): its interval, its test, and whether it is none.

Invariant: one value a question, families are the units; Student's t of families - 1.

    gain_of([0.2, 0.1, 0.3], clusters=[0, 1, 2]).interval == Interval(-0.05, 0.45)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.statistics.clusters import LEVEL, Interval, mean_of
from tasks.statistics.outcomes import Counts, Floats


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What needs two families is None with one."""

    value: float
    error: float | None
    interval: Interval | None
    p_value: float | None  # of no difference
    num_families: int


def gain_of(values: Floats, clusters: Counts) -> Gain:
    """The mean of differences, one a question. Shapes: (questions,) each."""
    from scipy import stats

    mean = mean_of(np.asarray(values, dtype=np.float64), np.asarray(clusters))
    if mean.variance is None:
        return Gain(value=mean.value, error=None, interval=None, p_value=None,
                    num_families=mean.num_families)  # fmt: skip
    error, freedom = float(np.sqrt(mean.variance)), mean.num_families - 1
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    p_value = float(2 * stats.t.sf(abs(mean.value) / error, freedom)) if error else (
        float(mean.value == 0)
    )  # fmt: skip
    return Gain(
        value=mean.value, error=error, p_value=p_value, num_families=mean.num_families,
        interval=Interval(mean.value - reach, mean.value + reach),
    )  # fmt: skip


def within(value: float, error: float | None, margin: float, num_families: int) -> float | None:
    """Two one-sided tests: how likely a difference of `margin` or more would look so small."""
    from scipy import stats

    if not error:  # None: no error is known; 0: all questions gain the same
        return None if error is None else float(abs(value) >= margin)
    sides = (stats.t.sf((value + margin) / error, num_families - 1),
             stats.t.cdf((value - margin) / error, num_families - 1))  # fmt: skip
    return float(max(sides))
