"""Two methods over repetitions: a student of each a seed, all asked the same questions.

A seed moves all answers of its student at once, so answers under one seed are no more independent
than answers to one question: questions and seeds are both drawn. Invariants: the variance is
clustered both ways (Cameron, Gelbach and Miller 2011, statsmodels'), never less than either way
alone gives; Student's t counts the clusters of which there are fewer, less one.

    over_repetitions(compare(raw, levels), [(raw_1, levels_1), ...]).accuracy.num_families == 5
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tasks.statistics.clusters import LEVEL, Mean, Ratio, interval_of_ratio
from tasks.statistics.outcomes import Counts, Floats, Outcomes, in_common
from tasks.statistics.paired import Comparison, difference_from

Pair = tuple[Outcomes, Outcomes]  # first and second, of one seed


def over_repetitions(found: Comparison, pairs: Sequence[Pair]) -> Comparison:
    """`found`, of answers pooled over seeds, with errors that seeds are part of.

    `pairs`: one a seed. As it is where there is one seed only: nothing is known of others then.
    """
    if len(pairs) < 2:
        return found
    rows, gain = _rows(pairs), found.second.accuracy - found.first.accuracy
    mean = Mean(
        value=found.accuracy.difference,
        variance=_variance_both_ways(rows.gain, rows),
        num_questions=len(gain),
        num_families=min(found.accuracy.num_families, len(pairs)),
    )
    return replace(
        found,
        accuracy=difference_from(mean, gain),
        tokens=_ratio(found.tokens, rows.tokens, rows, len(pairs)),
        seconds=_ratio(found.seconds, rows.seconds, rows, len(pairs)),
    )


class _Rows(NamedTuple):
    """A row a question and seed. Shapes: (rows,), and (2, rows) of the first and the second."""

    families: Counts
    seeds: Counts
    gain: Floats
    tokens: Floats
    seconds: Floats


def _rows(pairs: Sequence[Pair]) -> _Rows:
    shared = [in_common(first, second) for first, second in pairs]
    names = np.array([name for first, _ in shared for name in first.families], dtype=object)
    return _Rows(
        families=np.unique(names, return_inverse=True)[1].astype(np.int64),
        seeds=np.repeat(np.arange(len(shared)), [len(first) for first, _ in shared]),
        gain=np.concatenate([second.accuracy - first.accuracy for first, second in shared]),
        tokens=np.hstack([np.stack([a.mean_tokens, b.mean_tokens]) for a, b in shared]),
        seconds=np.hstack([np.stack([a.mean_seconds, b.mean_seconds]) for a, b in shared]),
    )


def _variance_both_ways(values: Floats, rows: _Rows) -> float | None:
    """Of the mean; None with one family."""
    import statsmodels.api as sm
    from statsmodels.stats.sandwich_covariance import cov_cluster_2groups

    if rows.families.max() == 0:
        return None
    fitted = sm.OLS(values, np.ones((len(values), 1))).fit()
    found = cov_cluster_2groups(fitted, rows.families, rows.seeds)
    return float(max(matrix[0, 0] for matrix in found))  # both ways can come out below one way


def _ratio(found: Ratio, sides: Floats, rows: _Rows, num_seeds: int) -> Ratio:
    """By the delta method, on the logarithm: what a row adds to it is its share of each mean."""
    if found.interval is None:  # one family, or nothing was written
        return found
    first, second = sides / sides.mean(axis=1, keepdims=True)
    error = float(np.sqrt(_variance_both_ways(second - first, rows) or 0.0))
    num = min(found.num_families, num_seeds)
    around = interval_of_ratio(found.value, error, num, LEVEL)
    return replace(found, interval=around, log_error=error, num_families=num)
