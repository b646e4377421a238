"""How well a score tells two kinds apart: the AUC, within strata, with families as the units.

Invariants: only pairs of one stratum (a data set, a question) are compared, a tie is half a win;
families are drawn anew with all their members. 0.5 is a coin.

    auc_of([0.9, 0.4, 0.7], [True, False, True], clusters=[0, 1, 2], strata=[0, 0, 0])
    == Auc(value=1.0, ...)
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tasks.statistics.clusters import BATCH_ENTRIES, LEVEL, Interval, bootstrap
from tasks.statistics.outcomes import Counts, Floats


@dataclass(frozen=True, kw_only=True)
class Auc:
    """Or the difference of two. `error`, `interval` and `p_value` (of a coin, of no difference)
    are None where there is no pair, or one family."""

    value: float  # nan without a pair
    error: float | None
    interval: Interval | None
    p_value: float | None
    num_good: int
    num_bad: int
    num_pairs: int
    num_families: int


def auc_of(
    values: ArrayLike, is_good: ArrayLike, *, clusters: ArrayLike, strata: ArrayLike,
    against: ArrayLike | None = None,
) -> Auc:  # fmt: skip
    """The chance that a good one's value is higher than a bad one's of the same stratum.

    `against`: other values of the same; then it is how much higher the chance is than theirs.
    Shapes: (members,) each.
    """
    good = np.asarray(is_good, dtype=bool)
    families = np.unique(np.asarray(clusters), return_inverse=True)[1]
    of = np.unique(np.asarray(strata), return_inverse=True)[1]
    pairs = of[good][:, None] == of[~good][None, :]
    wins = _wins(values, good)
    if against is not None:
        wins = wins - _wins(against, good)
    num_families = int(families.max()) + 1 if len(families) else 0
    coin = 0.5 if against is None else 0.0
    counts = {"num_good": int(good.sum()), "num_bad": int((~good).sum()),
              "num_pairs": int(pairs.sum()), "num_families": num_families}  # fmt: skip
    if not pairs.any():
        return Auc(value=float("nan"), error=None, interval=None, p_value=None, **counts)
    value = float(wins[pairs].mean())
    if num_families < 2:
        return Auc(value=value, error=None, interval=None, p_value=None, **counts)
    interval, error = _resampled(np.where(pairs, wins, 0.0), pairs, families, good)
    return Auc(
        value=value, error=error, interval=interval, p_value=_p_value(value - coin, error),
        **counts,
    )  # fmt: skip


def _wins(values: ArrayLike, good: np.ndarray) -> Floats:
    """1 where a good one's value is higher, 0.5 where they are equal; (good, bad)."""
    numbers = np.asarray(values, dtype=np.float64)
    high, low = numbers[good][:, None], numbers[~good][None, :]
    return np.asarray((high > low) + (high == low) / 2)


def _resampled(
    wins: Floats, pairs: np.ndarray, families: Counts, good: np.ndarray
) -> tuple[Interval | None, float | None]:
    everyone = np.arange(int(families.max()) + 1)
    counted = pairs.astype(np.float64)

    def statistic(drawn: Counts, axis: int = -1) -> Floats:
        rows = np.atleast_2d(drawn)
        first = np.arange(len(rows))[:, None] * len(everyone)
        times = np.bincount((rows + first).ravel(), minlength=len(rows) * len(everyone))
        weights = times.reshape(len(rows), -1)[:, families].astype(np.float64)
        high, low = weights[:, good], weights[:, ~good]
        share = ((high @ wins) * low).sum(axis=1) / ((high @ counted) * low).sum(axis=1)
        return np.asarray(share if np.ndim(drawn) > 1 else share[0])

    batch = max(1, BATCH_ENTRIES // len(families))
    with warnings.catch_warnings(action="ignore"):  # of resamples without a pair
        found = bootstrap((everyone,), statistic, level=LEVEL, batch=batch)
    if not np.isfinite(found.bootstrap_distribution).all():
        return None, None
    return Interval(*map(float, found.confidence_interval)), float(found.standard_error)


def _p_value(distance: float, error: float | None) -> float | None:
    from scipy import stats

    if error is None:
        return None
    return float(2 * stats.norm.sf(abs(distance) / error)) if error else float(distance == 0)
