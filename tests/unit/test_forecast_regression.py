"""Regression on few rows: what must not matter does not, and intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.statistics.forecast import Floats, alike, mean_of_others, regress

LEVEL = 0.9
SEEDS = st.integers(0, 2**32 - 1)


def drawn(
    seed: int, *, num_rows: int, num_columns: int, signal: float, num_new: int
) -> tuple[Floats, Floats]:
    """Correlated features; three of them decide, beside noise of size 1."""
    rng = np.random.default_rng(seed)
    shape = (num_rows + num_new, num_columns)
    x = 0.7 * rng.normal(size=shape) + 0.7 * rng.normal(size=(shape[0], 1))
    weights = np.zeros(num_columns)
    weights[:3] = rng.normal(size=min(3, num_columns))
    y = x @ weights / np.linalg.norm(weights) * signal + rng.normal(size=shape[0])
    return x, y


@given(SEEDS, st.permutations(range(9)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_does_not_matter(seed: int, order: list[int]) -> None:
    x, y = drawn(seed, num_rows=9, num_columns=4, signal=2, num_new=3)
    one = regress(x[:9], y[:9], new=x[9:], level=LEVEL)
    other = regress(x[:9][order], y[:9][order], new=x[9:], level=LEVEL)
    assert one.predicted == pytest.approx(other.predicted, rel=1e-4, abs=1e-4)
    assert one.high == pytest.approx(other.high, rel=1e-4, abs=1e-4)
    assert one.left_out[order] == pytest.approx(other.left_out, rel=1e-4, abs=1e-4)


@given(SEEDS, st.floats(0.01, 1e4), st.floats(-1e3, 1e3), st.floats(-50, 50))
@settings(max_examples=20, deadline=None)
def test_units_and_constant_columns_do_not_matter(
    seed: int, unit: float, shift: float, constant: float
) -> None:
    x, y = drawn(seed, num_rows=12, num_columns=3, signal=2, num_new=2)
    plain = regress(x[:12], y[:12], new=x[12:], level=LEVEL)
    other = np.column_stack([x * unit + shift, np.full(len(x), constant)])
    found = regress(other[:12], y[:12] * unit, new=other[12:], level=LEVEL)
    assert found.predicted / unit == pytest.approx(plain.predicted, rel=1e-3, abs=1e-3)
    assert found.low / unit == pytest.approx(plain.low, rel=1e-3, abs=1e-3)


def test_a_value_that_is_always_the_same_is_forecast_as_that() -> None:
    x = np.arange(10.0).reshape(-1, 1)
    found = regress(x, np.full(10, 0.25), new=[[30.0]], level=LEVEL)
    assert (found.predicted[0], found.low[0], found.high[0]) == (0.25, 0.25, 0.25)
    without = regress(np.ones((4, 2)) * [[1, 2]] + [[0, 0], [0, 0], [0, 0], [1, 0]], [1, 2, 3, 6],
                      new=np.ones((1, 2)), level=LEVEL)  # fmt: skip
    assert without.low[0] < without.predicted[0] < without.high[0]


def test_rows_that_are_alike_are_left_out_together() -> None:
    """Five seeds of one training set tell nothing of how well another one is forecast."""
    x = np.repeat([[1.0], [2.0], [3.0], [4.0]], 5, axis=0)
    y = np.repeat([1.0, 2.0, 3.0, 40.0], 5)
    assert list(alike(x)) == list(np.repeat(range(4), 5))
    assert mean_of_others(x, y)[-1] == pytest.approx(2.0)
    found = regress(x, y, new=x[:0], level=LEVEL)
    assert np.all(found.left_out[-5:] < 10)  # the others say 4, not 40
    with pytest.raises(ValueError, match="nothing can be left out"):
        regress(np.ones((5, 2)), np.arange(5.0), new=np.ones((1, 2)), level=LEVEL)


def test_a_relation_that_is_there_is_found() -> None:
    x, y = drawn(3, num_rows=20, num_columns=5, signal=10, num_new=0)
    left_out = regress(x, y, new=x[:0], level=LEVEL).left_out
    assert np.abs(left_out - y).mean() < 0.3 * np.abs(mean_of_others(x, y) - y).mean()


@pytest.mark.parametrize("num_rows", [12, 20, 40])
def test_intervals_of_90_percent_hold_85_to_95(num_rows: int) -> None:
    """Over training sets with 3 and with 10 features that decide nothing, a little and all."""
    inside, all_rows = [], []
    for seed in range(4):
        for num_columns in (3, 10):
            for signal in (0, 1, 3):
                x, y = drawn(
                    1000 * seed + num_columns + 100 * signal, num_rows=num_rows,
                    num_columns=num_columns, signal=signal, num_new=60,
                )  # fmt: skip
                found = regress(x[:num_rows], y[:num_rows], new=x[num_rows:], level=LEVEL)
                truth = y[num_rows:]
                inside.append(np.mean((found.low <= truth) & (truth <= found.high)))
                known = y[:num_rows]
                all_rows.append(
                    np.mean((found.left_out_low <= known) & (known <= found.left_out_high))
                )
    assert 0.85 <= np.mean(inside) <= 0.95
    assert 0.85 <= np.mean(all_rows) <= 0.96
