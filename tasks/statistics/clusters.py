"""The error of a mean where questions come in families, and of a ratio of two means.

Invariant: the unit of inference is the family; whatever has one family only has no error (None).
The variance is statsmodels' (cluster-robust, with its correction for few clusters), the bootstrap
scipy's, over families.

    mean_of([1, 0, 1, 1], clusters=[0, 0, 1, 2]) == Mean(value=0.75, variance=0.0391, ...)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tasks.statistics.outcomes import Counts, Floats

LEVEL = 0.95
NUM_RESAMPLES = 2000  # the error of a bootstrapped error is then 1.6%
SEED = 233
BATCH_ENTRIES = 2_000_000  # of the resamples that are held in memory at a time


class Interval(NamedTuple):
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Mean:
    """`variance` is of the mean, not of the values; None with fewer than two families."""

    value: float
    variance: float | None
    num_questions: int
    num_families: int


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A ratio of sums. `interval` None: fewer than two families, or a sum is zero.

    `log_error` is the bootstrapped standard error of its logarithm, None where the interval was
    read from the resamples because in some of them the lower sum is zero.
    """

    value: float
    interval: Interval | None
    log_error: float | None
    num_families: int


def mean_of(values: Floats, clusters: Counts) -> Mean:
    """The mean over questions with its cluster-robust variance (Miller, arXiv 2411.00640)."""
    import statsmodels.api as sm

    num_families = len(np.unique(clusters))
    variance = None
    if num_families > 1:
        fitted = sm.OLS(values, np.ones((len(values), 1))).fit(
            cov_type="cluster", cov_kwds={"groups": clusters}
        )
        variance = float(fitted.cov_params()[0, 0])
    return Mean(
        value=float(np.mean(values)),
        variance=variance,
        num_questions=len(values),
        num_families=num_families,
    )


def ratio_of(above: Floats, below: Floats, clusters: Counts, *, level: float = LEVEL) -> Ratio:
    """sum(above) / sum(below), paired by question; the families are drawn anew.

    On the logarithm, with Student's t of families - 1: of few families the resamples themselves
    are too much alike.
    """
    num_families = len(np.unique(clusters))
    over, under = _sums(above, clusters), _sums(below, clusters)
    value = float(over.sum() / under.sum()) if under.sum() > 0 else float("nan")
    interval = log_error = None
    if num_families > 1 and value > 0:
        interval, log_error = _resampled_ratio(over, under, level=level)
    return Ratio(value=value, interval=interval, log_error=log_error, num_families=num_families)


def quantile_of(
    values: Floats, clusters: Counts, share: float, *, level: float = LEVEL
) -> tuple[float, Interval | None]:
    """A quantile of answers, and its interval: families are drawn anew with all their answers.

    The smallest value that `share` of the answers do not exceed, so it is one of the values.
    """
    order = np.argsort(values, kind="stable")
    ordered, members = values[order], clusters[order]
    num_families = len(np.unique(clusters))

    def drawn(families: Counts, axis: int = -1) -> Floats:
        rows = np.atleast_2d(families)
        first = np.arange(len(rows))[:, None] * num_families
        times = np.bincount((rows + first).ravel(), minlength=len(rows) * num_families)
        reached = np.cumsum(times.reshape(len(rows), -1)[:, members], axis=1)
        at = (reached >= share * reached[:, -1:] - 1e-9).argmax(axis=1)
        return np.asarray(ordered[at] if np.ndim(families) > 1 else ordered[at][0])

    everyone = np.arange(num_families)
    value = float(drawn(everyone))
    if num_families < 2:
        return value, None
    found = bootstrap((everyone,), drawn, level=level, batch=max(1, BATCH_ENTRIES // len(values)))
    return value, Interval(*map(float, found.confidence_interval))


def _resampled_ratio(
    over: Floats, under: Floats, *, level: float
) -> tuple[Interval | None, float | None]:
    def log_ratio(a: Floats, b: Floats, axis: int = -1) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(a.sum(axis=axis)) - np.log(b.sum(axis=axis)))

    batch = max(1, BATCH_ENTRIES // len(over))
    found = bootstrap((over, under), log_ratio, level=level, batch=batch)
    if not np.isfinite(found.bootstrap_distribution).all():
        ends = np.nan_to_num(
            found.bootstrap_distribution, nan=np.inf, posinf=np.inf, neginf=-np.inf
        )
        tails = [(1 - level) / 2, (1 + level) / 2]
        low, high = np.exp(np.quantile(ends, tails, method="inverted_cdf"))
        return Interval(float(low), float(high)), None
    # drawn from n families, a resample varies less than n families do, by n - 1 of n
    error = float(found.standard_error) * float(np.sqrt(len(over) / (len(over) - 1)))
    return interval_of_ratio(float(np.exp(log_ratio(over, under))), error, len(over), level), error


def interval_of_ratio(value: float, log_error: float, num_families: int, level: float) -> Interval:
    """Student's t of families - 1, on the logarithm."""
    from scipy import stats

    reach = float(np.exp(stats.t.ppf((1 + level) / 2, num_families - 1) * log_error))
    return Interval(value / reach, value * reach)


def bootstrap(data: tuple[Any, ...], statistic: Any, *, level: float, batch: int) -> Any:
    """scipy's, by percentiles; the same draws for the same question every time."""
    from scipy import stats

    with np.errstate(invalid="ignore"):  # of resamples that have no ratio
        return stats.bootstrap(
            data, statistic, paired=True, vectorized=True, n_resamples=NUM_RESAMPLES, batch=batch,
            confidence_level=level, method="percentile", rng=np.random.default_rng(SEED),
        )  # fmt: skip


def _sums(values: Floats, clusters: Counts) -> Floats:
    return np.bincount(clusters, weights=values).astype(np.float64)
