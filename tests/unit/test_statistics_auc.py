"""AUC within strata and paired gains: beside scipy's and scikit-learn's, and as often right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from tasks.statistics.auc import auc_of
from tasks.statistics.gains import gain_of, within

RNG = np.random.default_rng(7)


def drawn(num: int, shift: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    good = RNG.random(num) < 0.6
    return np.round(RNG.normal(good * shift, 1), 1), good  # rounded, so that there are ties


def test_it_is_the_auc_of_scikit_learn_and_of_mann_and_whitney() -> None:
    values, good = drawn(200)
    found = auc_of(values, good, clusters=np.arange(200), strata=np.zeros(200))
    assert found.value == pytest.approx(roc_auc_score(good, values), abs=1e-12)
    u = stats.mannwhitneyu(values[good], values[~good]).statistic
    assert found.value == pytest.approx(u / (good.sum() * (~good).sum()), abs=1e-12)


def test_only_pairs_of_a_stratum_count() -> None:
    found = auc_of(
        [3.0, 1.0, 3.0, 10.0, 30.0, 20.0], [True, False, False, True, True, False],
        clusters=range(6), strata=["a", "a", "a", "b", "b", "b"],
    )  # fmt: skip
    assert (found.value, found.num_pairs) == (0.625, 4)  # won, tied, lost, won


def test_the_interval_is_near_that_of_delong() -> None:
    values, good = drawn(300)
    found = auc_of(values, good, clusters=np.arange(300), strata=np.zeros(300))
    high, low = values[good], values[~good]
    placed = [((one > low) + (one == low) / 2).mean() for one in high]
    against = [((high > one) + (high == one) / 2).mean() for one in low]
    delong = np.sqrt(np.var(placed, ddof=1) / len(high) + np.var(against, ddof=1) / len(low))
    assert found.error == pytest.approx(delong, rel=0.08)
    assert found.interval is not None
    assert found.interval.low < found.value < found.interval.high


def test_members_that_repeat_one_another_add_no_certainty() -> None:
    values, good = drawn(80)
    once = auc_of(values, good, clusters=np.arange(80), strata=np.zeros(80))
    often = [np.repeat(each, 5) for each in (values, good, np.arange(80))]
    found = auc_of(often[0], often[1], clusters=often[2], strata=np.zeros(400))
    assert found.value == pytest.approx(once.value)
    assert found.error == pytest.approx(once.error)
    apart = auc_of(often[0], often[1], clusters=np.arange(400), strata=np.zeros(400))
    assert apart.error is not None
    assert once.error is not None
    assert apart.error < 0.6 * once.error


def test_the_difference_of_two_scores_knows_that_they_are_of_the_same_members() -> None:
    values, good = drawn(200)
    near = values + RNG.normal(0, 0.05, 200)
    frame = {"clusters": np.arange(200), "strata": np.zeros(200)}
    alone, other = (auc_of(one, good, **frame) for one in (values, near))
    found = auc_of(values, good, against=near, **frame)
    assert found.value == pytest.approx(alone.value - other.value)
    assert found.error is not None
    assert alone.error is not None
    assert found.error < alone.error / 3
    assert auc_of(values, good, against=-values, **frame).p_value < 1e-3  # type: ignore[operator]


def test_no_difference_is_called_one_as_often_as_promised() -> None:
    """Of 100 scores that say nothing, of questions with three members each."""
    called = 0
    for _ in range(100):
        clusters = np.repeat(np.arange(30), 3)
        values = np.repeat(RNG.normal(size=30), 3) + RNG.normal(size=90)
        good = RNG.random(90) < 0.5
        p_value = auc_of(values, good, clusters=clusters, strata=np.zeros(90)).p_value
        called += p_value is not None and p_value < 0.05
    assert called <= 13  # 5 are expected, more than 13 in one of 2 000 times


@pytest.mark.parametrize("good", [[True] * 4, [False] * 4])
def test_without_a_pair_nothing_is_said(good: list[bool]) -> None:
    found = auc_of(range(4), good, clusters=range(4), strata=[0] * 4)
    assert np.isnan(found.value)
    assert (found.interval, found.p_value, found.num_pairs) == (None, None, 0)


def test_a_gain_is_students_t() -> None:
    gains = RNG.normal(0.1, 0.3, 40)
    found = gain_of(gains, np.arange(40))
    expected = stats.ttest_1samp(gains, 0)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    around = expected.confidence_interval(0.95)
    assert found.interval == pytest.approx((around.low, around.high), rel=1e-9)


def test_a_small_gain_is_within_a_margin_only_where_it_is_known_well() -> None:
    sharp, vague = within(0.001, 0.002, 0.01, 60), within(0.001, 0.02, 0.01, 60)
    assert sharp is not None
    assert vague is not None
    assert sharp < 0.01 < 0.3 < vague
    assert within(0.001, None, 0.01, 1) is None
