"""Bayesian ridge regression on few rows, with intervals that few rows deserve (MACC, METHODS 2.4).

Invariants: the order of rows and the units of columns do not matter; a column that is constant says
nothing and does nothing; what is forecast for a row never rests on rows with the same features when
its error is told. scikit-learn's intervals are a normal's around a variance taken for known: of 12
rows their 90% hold 57 to 85% of the truth. Here they are Student's t with the degrees of freedom
that the fit leaves, and never narrower than what leaving one out got wrong.

    regress(x, y, new=x_new, level=0.9) -> Forecasts(predicted=[0.41], low=[0.33], high=[0.49],
        left_out=[...], left_out_low=[...], left_out_high=[...])
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
ALIKE_DIGITS = 9  # rows whose features agree so far are alike
FLAT = 1e-9  # a column that varies less, as a share of its size, is constant


@dataclass(frozen=True, kw_only=True)
class Forecasts:
    """For the new rows the mean and the bounds; for the known ones the same from the others."""

    predicted: Floats
    low: Floats
    high: Floats
    left_out: Floats
    left_out_low: Floats
    left_out_high: Floats


@dataclass(frozen=True, kw_only=True)
class _Guess:
    """Student's t, a row each."""

    mean: Floats
    scale: Floats
    freedom: Floats


def regress(x: ArrayLike, y: ArrayLike, *, new: ArrayLike, level: float) -> Forecasts:
    """What rows `new` come to, from features `x` (rows, columns) and values `y` of known rows.

    Two rows at least that are not alike, finite numbers only. Raises ValueError.
    """
    known, values = np.asarray(x, np.float64), np.asarray(y, np.float64)
    group = alike(known)
    if group.max(initial=0) < 1:
        raise ValueError("all rows are alike: nothing can be left out")
    asked = np.asarray(new, np.float64).reshape(-1, known.shape[1])
    guess = _ridge(known, values, asked)
    others = _leave_out(known, values, group)
    squares = (values - others.mean) ** 2
    low, high = _bounds(guess, np.full(len(guess.mean), squares.mean()), len(values), level)
    apart = np.array([squares[group != own].mean() for own in group])
    left_low, left_high = _bounds(others, apart, len(values) - 1, level)
    return Forecasts(
        predicted=guess.mean, low=low, high=high, left_out=others.mean, left_out_low=left_low,
        left_out_high=left_high,
    )  # fmt: skip


def alike(x: ArrayLike) -> NDArray[np.intp]:
    """The number of each row's group: rows of a group have the same features."""
    rounded = np.round(np.asarray(x, np.float64), ALIKE_DIGITS)
    _, groups = np.unique(rounded, axis=0, return_inverse=True)
    return groups.reshape(-1)


def _bounds(guess: _Guess, squares: Floats, num_rows: int, level: float) -> tuple[Floats, Floats]:
    """`squares`: mean squared errors of leaving out, which no interval is narrower than."""
    from scipy.stats import t

    share = 0.5 + level / 2
    half = np.maximum(
        t.ppf(share, guess.freedom) * guess.scale,
        t.ppf(share, max(1, num_rows - 1)) * np.sqrt(squares),
    )
    return guess.mean - half, guess.mean + half


def mean_of_others(x: ArrayLike, y: ArrayLike) -> Floats:
    """For each row the mean value of the rows that are not alike: what a forecast has to beat."""
    values, group = np.asarray(y, np.float64), alike(x)
    return np.array([values[group != own].mean() for own in group])


def _leave_out(x: Floats, y: Floats, group: NDArray[np.intp]) -> _Guess:
    """What the rows that are not alike say of each row."""
    mean, scale, freedom = (np.empty(len(y)) for _ in range(3))
    for number in range(group.max() + 1):
        own = group == number
        guess = _ridge(x[~own], y[~own], x[own])
        mean[own], scale[own], freedom[own] = guess.mean, guess.scale, guess.freedom
    return _Guess(mean=mean, scale=scale, freedom=freedom)


def _ridge(x: Floats, y: Floats, new: Floats) -> _Guess:
    """Fit and ask. Columns and values are standardised, so that neither their units nor
    scikit-learn's priors matter."""
    from sklearn.linear_model import BayesianRidge

    num_rows, center, spread = len(y), x.mean(axis=0), x.std(axis=0)
    varies = spread > FLAT * np.maximum(1.0, np.abs(center))
    unit = float(y.std())
    if not len(new) or unit <= FLAT * max(1.0, abs(float(y.mean()))) or not varies.any():
        scale = np.full(len(new), _spread_of_one_more(y))
        freedom = np.full(len(new), max(1.0, num_rows - 1.0))
        return _Guess(mean=np.full(len(new), y.mean()), scale=scale, freedom=freedom)
    columns = (x[:, varies] - center[varies]) / spread[varies]
    asked = (new[:, varies] - center[varies]) / spread[varies]
    fitted = BayesianRidge().fit(columns, (y - y.mean()) / unit)
    mean, deviation = fitted.predict(asked, return_std=True)
    noise = 1.0 / fitted.alpha_
    learnt = _effective_parameters(columns, ratio=fitted.lambda_ / fitted.alpha_)
    left = max(1.0, num_rows - 1 - learnt)  # the intercept is one more
    widened = (num_rows - learnt) / left  # the noise was divided by the rows without it
    scale = np.sqrt((deviation**2 + noise / num_rows) * max(1.0, widened))
    return _Guess(
        mean=y.mean() + unit * mean, scale=unit * scale,
        freedom=np.full(len(new), max(2.0, left)),
    )  # fmt: skip


def _spread_of_one_more(y: Floats) -> float:
    """Standard deviation of another value beside these, by their mean."""
    return float(y.std(ddof=1) * np.sqrt(1 + 1 / len(y))) if len(y) > 1 else 0.0


def _effective_parameters(columns: Floats, *, ratio: float) -> float:
    """How many the ridge has learnt: the trace of its hat matrix (MacKay's gamma)."""
    strengths = np.clip(np.linalg.eigvalsh(columns.T @ columns), 0.0, None)
    return float(np.sum(strengths / (strengths + ratio)))
