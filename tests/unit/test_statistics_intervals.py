"""Intervals of accuracies, tokens and ratios, against statsmodels and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from tasks.statistics.clusters import Interval, mean_of, quantile_of, ratio_of
from tasks.statistics.intervals import Accuracy, accuracy_of
from tasks.statistics.outcomes import Outcomes
from tasks.statistics.tokens import lengths_of, mean_tokens, tokens_per_correct

RNG = np.random.default_rng(7)


def ends(values: list[float], families: list[int], samples: int = 1) -> Accuracy:
    return accuracy_of(
        np.array(values, dtype=float), np.array(families), num_samples=np.full(len(values), samples)
    )


@pytest.mark.parametrize(("right", "asked"), [(26, 30), (3, 30), (250, 500), (475, 500)])
def test_single_questions_answered_once_have_the_intervals_of_a_proportion(
    right: int, asked: int
) -> None:
    found = ends([1.0] * right + [0.0] * (asked - right), list(range(asked)))
    assert found.effective == pytest.approx(asked)
    for name, interval in (
        ("wilson", found.interval), ("beta", found.exact), ("jeffreys", found.bayes),
    ):  # fmt: skip
        assert interval == pytest.approx(proportion_confint(right, asked, method=name))


def test_the_variance_of_a_mean_in_families_by_hand() -> None:
    """Sums of deviations by family: 0.5 - 0.5, 0.5 and 0.5 against a mean of 0.5: 0, -0.5, 0.5."""
    mean = mean_of(np.array([1.0, 0.0, 0.0, 1.0]), np.array([0, 0, 1, 2]))
    assert mean.variance == pytest.approx(3 / 2 * (0.25 + 0.25) / 4**2)
    assert (mean.value, mean.num_questions, mean.num_families) == (0.5, 4, 3)


def test_questions_that_say_the_same_are_worth_one() -> None:
    """Twenty families of five alike are worth twenty questions, not a hundred, and no fewer."""
    answers = [float(family % 3 == 0) for family in range(20) for _ in range(5)]
    alike = ends(answers, [family for family in range(20) for _ in range(5)])
    assert 17 < alike.effective < 20.5
    assert ends(answers, list(range(100))).effective == pytest.approx(100)


def test_samples_that_all_agree_are_one_sample() -> None:
    answers = [1.0, 0.0, 1.0, 1.0] * 10
    assert ends(answers, list(range(40)), samples=8).effective == pytest.approx(40, abs=1.1)


def test_samples_that_differ_by_luck_alone_are_worth_more() -> None:
    shares = list(RNG.binomial(8, 0.5, size=60) / 8)
    once, often = ends(shares, list(range(60))), ends(shares, list(range(60)), samples=8)
    assert 60 == once.effective < 200 < often.effective <= 480


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_alike_is_no_certainty(value: float) -> None:
    found = ends([value] * 20, list(range(20)))
    assert found.interval == pytest.approx(proportion_confint(20 * value, 20, method="wilson"))
    in_families = ends([value] * 20, [number // 5 for number in range(20)])
    width = found.interval.high - found.interval.low
    assert in_families.interval.high - in_families.interval.low > 2 * width


def test_one_question_says_next_to_nothing() -> None:
    low, high = ends([1.0], [0]).interval
    assert high == 1
    assert low < 0.25
    with pytest.raises(ValueError, match="needs a question"):
        ends([], [])


def outcomes(
    tokens: list[float], correct: list[int], families: list[str] | None = None
) -> Outcomes:
    number = len(tokens)
    return Outcomes.of(
        [f"q{i}" for i in range(number)], families=families, num_correct=correct,
        num_samples=[1] * number, mean_tokens=tokens, num_cut_off=[0] * number,
        mean_seconds=[1.0] * number,
    )  # fmt: skip


def test_tokens_and_what_a_correct_answer_costs() -> None:
    asked = outcomes([100, 200, 300, 400], [1, 0, 1, 1])
    assert mean_tokens(asked).value == 250
    found = tokens_per_correct(asked)
    assert found.value == pytest.approx(1000 / 3)
    assert found.interval is not None
    assert found.interval.low < 1000 / 3 < found.interval.high


def test_too_few_correct_answers_bound_their_cost_on_one_side_only() -> None:
    """Of ten draws of ten questions one in three leaves the only correct answer out."""
    one_right = tokens_per_correct(outcomes([100.0] * 10, [1] + [0] * 9))
    assert one_right.interval is not None
    assert (one_right.value, one_right.interval.high) == (1000, np.inf)
    assert 200 < one_right.interval.low < 500
    none_right = tokens_per_correct(outcomes([100.0] * 10, [0] * 10))
    assert np.isnan(none_right.value)
    assert none_right.interval is None


def test_a_ratio_has_the_error_of_the_delta_method() -> None:
    first = RNG.lognormal(5, 0.5, 400)
    second = 0.7 * first * RNG.lognormal(0, 0.3, 400)
    found = ratio_of(second, first, np.arange(400))
    left = second - found.value * first
    expected = left.std(ddof=1) / np.sqrt(400) / second.mean()
    assert found.log_error == pytest.approx(expected, rel=0.06)
    assert found.interval is not None
    middle = np.sqrt(found.interval.low * found.interval.high)
    assert middle == pytest.approx(found.value)


def test_few_families_are_not_taken_for_surer_than_they_are() -> None:
    """Resamples of six vary by 5/6 of what six do: the error is the textbook's all the same."""
    lengths = np.array([98.0, 99, 100, 100, 101, 102])
    found = ratio_of(lengths, np.ones(6), np.arange(6))
    assert found.log_error == pytest.approx(lengths.std(ddof=1) / np.sqrt(6) / 100, rel=0.04)


def test_families_widen_a_ratio() -> None:
    swing = np.repeat(RNG.lognormal(0, 0.4, 40), 10)
    first, families = np.ones(400), np.repeat(np.arange(40), 10)
    apart, together = ratio_of(swing, first, np.arange(400)), ratio_of(swing, first, families)
    assert apart.log_error is not None
    assert together.log_error is not None
    assert 2.5 < together.log_error / apart.log_error < 4  # sqrt(10)


@pytest.mark.parametrize("tokens", [[5.0], [5.0, 6.0]])
def test_one_family_has_no_error(tokens: list[float]) -> None:
    asked = outcomes(tokens, [1] * len(tokens), ["f"] * len(tokens))
    assert mean_tokens(asked).interval is None
    assert lengths_of(asked.mean_tokens, asked.clusters).median_interval is None


def test_quantiles_are_answers_and_their_intervals_hold_them() -> None:
    values = RNG.permutation(np.arange(1.0, 101.0))
    found = lengths_of(values, np.arange(100))
    assert (found.median, found.p95) == (50, 95)
    assert found.median_interval is not None
    # of 100 values the median's binomial interval is the 40th to the 61st
    assert found.median_interval.low == pytest.approx(40, abs=2)
    assert found.median_interval.high == pytest.approx(60, abs=2)
    assert found.p95_interval is not None
    assert found.p95_interval.high == pytest.approx(99, abs=1)


def test_a_quantile_draws_whole_families() -> None:
    """Ten families of ten equal answers: their median is as unsure as that of ten answers.

    The fifth smallest of ten draws of 0 to 9 is 1 or less in 3.3%, 7 or more in 4.7%, 8 in 0.6%.
    """
    values, families = np.repeat(np.arange(10.0), 10), np.repeat(np.arange(10), 10)
    whole, apart = (
        quantile_of(values, families, 0.5)[1],
        quantile_of(values, np.arange(100), 0.5)[1],
    )
    assert whole is not None
    assert apart is not None
    assert whole == Interval(1, 7)
    assert apart.high - apart.low < 4


def test_the_same_question_has_the_same_answer() -> None:
    above, below = RNG.random(50), RNG.random(50)
    families = np.arange(50) // 2
    assert ratio_of(above, below, families) == ratio_of(above, below, families)
