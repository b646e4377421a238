"""Two models on the same questions: differences, tests and verdicts, by hand and by reference."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from tasks.statistics.outcomes import Outcomes
from tasks.statistics.paired import Comparison, compare, difference_of, holm, verdicts

RNG = np.random.default_rng(11)


def model(
    correct: list[int],
    *,
    samples: int = 1,
    tokens: list[float] | float = 100.0,
    families: list[str] | None = None,
) -> Outcomes:
    number = len(correct)
    return Outcomes.of(
        [f"q{i}" for i in range(number)], families=families, num_correct=correct,
        num_samples=[samples] * number, mean_tokens=np.broadcast_to(tokens, number),
        num_cut_off=[0] * number, mean_seconds=np.ones(number),
    )  # fmt: skip


def pair(both: int, lost: int, won: int, neither: int) -> Comparison:
    first = [1] * (both + lost) + [0] * (won + neither)
    second = [1] * both + [0] * lost + [1] * won + [0] * neither
    return compare(model(first), model(second))


def test_a_comparison_by_hand() -> None:
    found = pair(both=50, lost=8, won=20, neither=22)
    assert (found.num_won, found.num_lost) == (20, 8)
    assert found.accuracy.difference == pytest.approx(0.12)
    assert found.mcnemar == pytest.approx(stats.binomtest(8, 28).pvalue)
    # Agresti and Min: half a question added to each cell of the table
    of, changed, net = 102, 29, 0.12 * 100
    error = np.sqrt((changed - net**2 / of) / of**2)
    assert found.accuracy.error == pytest.approx(error, rel=0.01)
    interval = found.accuracy.interval
    assert interval is not None
    assert interval.low == pytest.approx(0.12 - stats.t.ppf(0.975, 99) * error, abs=0.001)
    assert found.accuracy.p_value == pytest.approx(2 * stats.t.sf(0.12 / error, 99), rel=0.05)


def test_many_questions_give_the_paired_t_test() -> None:
    first, second = RNG.binomial(8, 0.5, 2000), RNG.binomial(8, 0.52, 2000)
    found = compare(model(list(first), samples=8), model(list(second), samples=8))
    expected = stats.ttest_rel(second / 8, first / 8)
    assert found.accuracy.p_value == pytest.approx(expected.pvalue, rel=0.02)
    assert found.mcnemar is None


def test_families_are_the_units() -> None:
    first = [0] * 60
    second = [1] * 20 + [0] * 40
    families = [f"f{i // 10}" for i in range(60)]
    apart = compare(model(first), model(second)).accuracy
    together = compare(model(first, families=families), model(second, families=families)).accuracy
    assert apart.p_value is not None
    assert together.p_value is not None
    assert apart.p_value < 1e-5
    assert 0.1 < together.p_value < 0.3  # 2 of 6 families
    assert together.error is not None
    by_hand = 2 * stats.t.sf(together.difference / together.error, 6 - 1)
    assert together.p_value == pytest.approx(by_hand)
    assert (apart.num_families, together.num_families) == (60, 6)


@pytest.mark.parametrize("correct", [[1] * 30, [0] * 30])
def test_models_that_agree_everywhere_are_not_known_to_be_equal(correct: list[int]) -> None:
    found = compare(model(correct), model(correct))
    assert found.accuracy.interval is not None
    assert found.accuracy.interval.low == -found.accuracy.interval.high < -0.05
    assert (found.accuracy.p_value, found.mcnemar) == (1.0, 1.0)
    (verdict,) = verdicts([found], margin=0.02)
    assert (verdict.accuracy, verdict.tokens) == ("undecided", "same")


def test_one_question_gives_no_verdict() -> None:
    found = compare(model([1]), model([0]))
    assert found.accuracy.interval is None
    assert found.accuracy.smallest_detectable() is None
    assert found.tokens.interval is None
    (verdict,) = verdicts([found], margin=0.02)
    assert (verdict.accuracy, verdict.tokens, verdict.accuracy_p) == ("undecided",) * 2 + (None,)


def test_no_common_question_is_refused() -> None:
    other = Outcomes.of(
        ["x"], num_correct=[1], num_samples=[1], mean_tokens=[1], num_cut_off=[0], mean_seconds=[1]
    )
    with pytest.raises(ValueError, match="no question in common"):
        compare(model([1]), other)


def test_the_smallest_detectable_difference_is_found_at_the_stated_power() -> None:
    found = pair(both=200, lost=40, won=60, neither=200).accuracy
    assert found.error is not None
    smallest = found.smallest_detectable()
    assert smallest is not None
    normal = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert smallest == pytest.approx(normal * found.error, rel=0.01)
    assert found.power_for(smallest) == pytest.approx(0.8, abs=0.001)
    assert found.power_for(0.0) == pytest.approx(0.05, abs=0.001)


@pytest.mark.parametrize(
    ("table", "margin", "expected"),
    [
        ((600, 20, 70, 310), 0.02, "better"),
        ((600, 70, 20, 310), 0.02, "worse"),
        ((600, 5, 6, 389), 0.02, "equivalent"),
        ((600, 5, 6, 389), 0.002, "undecided"),
        ((60, 20, 25, 60), 0.02, "undecided"),
        ((60, 20, 25, 60), 0.2, "equivalent"),
    ],
)
def test_verdicts(table: tuple[int, int, int, int], margin: float, expected: str) -> None:
    (verdict,) = verdicts([pair(*table)], margin=margin)
    assert verdict.accuracy == expected


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(0.7, "shorter"), (1.3, "longer"), (1.005, "same"), (0.97, "undecided")],
)
def test_verdicts_on_tokens(factor: float, expected: str) -> None:
    """A hundred questions whose ratios swing by 20%: the ratio is known to 2%."""
    lengths = RNG.lognormal(5, 0.3, 100)
    swing = np.tile([0.8, 1.2], 50)
    lengths = np.repeat(lengths[::2], 2)
    found = compare(
        model([1] * 100, tokens=list(lengths)),
        model([1] * 100, tokens=list(factor * lengths * swing)),
    )
    assert found.tokens.value == pytest.approx(factor)
    (verdict,) = verdicts([found], margin=0.02)
    assert verdict.tokens == expected


def test_holm_by_hand() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert holm([None]) == [None]
    assert holm([]) == []


def test_of_many_comparisons_one_is_not_picked() -> None:
    weak, none = pair(200, 40, 62, 198), pair(200, 50, 50, 200)
    assert verdicts([weak], margin=0.02)[0].accuracy == "better"
    several = verdicts([weak, none, none], margin=0.02)
    assert several[0].accuracy == "undecided"
    assert several[0].num_tests == 3


def test_a_difference_is_as_sure_as_it_has_families() -> None:
    errors = []
    for size in (1, 2, 5, 10):
        families = [f"f{i // size}" for i in range(100)]
        gain = np.repeat(RNG.permutation([1.0, -1.0] * 5), 10)
        errors.append(difference_of(gain, model([1] * 100, families=families)).error)
    assert all(few < many for few, many in pairwise(errors) if few and many)
