"""How often intervals hold the truth and tests are right, measured on 2000 simulated truths each.

The seeds are fixed, so a number here never changes by luck; the error of one is 0.5 points.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tasks.statistics.clusters import mean_of
from tasks.statistics.intervals import interval_at
from tasks.statistics.outcomes import Counts, Floats
from tasks.statistics.paired import difference_of
from tests.simulated_answers import (
    CLUSTERED,
    DESIGNS,
    SAMPLES,
    SIZES,
    TRUTHS,
    blank,
    coverage,
    differences,
    draw_gains,
    normal,
    ours,
    ratio_coverage,
    share_found,
)

COMPARED = [("each its own family", 1), ("some families of 4", 1), ("some families of 4", 8)]
CELLS = [(n, k, p) for n in SIZES for k in SAMPLES for p in TRUTHS]


@pytest.mark.parametrize(("num_questions", "num_samples", "truth"), CELLS)
def test_the_interval_of_an_accuracy_holds_it(
    num_questions: int, num_samples: int, truth: float
) -> None:
    assert 93 <= coverage(ours, CLUSTERED, num_questions, num_samples, truth) <= 97


def no_families(values: Floats, families: Counts, num_samples: int) -> tuple[float, float]:
    """Wilson's, as if each question were its own family."""
    low, high = interval_at(float(values.mean()), len(values), method="wilson", level=0.95)
    return low, high


def each_sample_counts(values: Floats, families: Counts, num_samples: int) -> tuple[float, float]:
    """Wilson's, as if samples of a question were questions."""
    number = len(values) * num_samples
    low, high = interval_at(float(values.mean()), number, method="wilson", level=0.95)
    return low, high


def no_few(values: Floats, families: Counts, num_samples: int) -> tuple[float, float]:
    """The cluster-robust normal interval, without care for few questions near 1."""
    mean = mean_of(values, families)
    reach = 1.96 * float(np.sqrt(mean.variance or 0.0))
    return mean.value - reach, mean.value + reach


@pytest.mark.parametrize(
    ("method", "cell"),
    [
        (normal, (30, 1, 0.95)),
        (no_few, (30, 1, 0.95)),
        (no_families, (500, 1, 0.5)),
        (each_sample_counts, (500, 8, 0.5)),
    ],
)
def test_a_wrong_interval_is_found_out(
    method: Callable[[Floats, Counts, int], tuple[float, float]], cell: tuple[int, int, float]
) -> None:
    """The same measurement says of intervals that lie that they do."""
    assert coverage(method, CLUSTERED, *cell) < 92


@pytest.mark.parametrize(("name", "num_samples"), COMPARED)
def test_where_nothing_differs_comparing_finds_it_in_five_of_a_hundred(
    name: str, num_samples: int
) -> None:
    assert 3.5 <= share_found(differences(DESIGNS[name], 500, num_samples, 0.6)) <= 6.5


def test_without_families_comparing_finds_what_is_not_there() -> None:
    """The same measurement of a test that takes 500 questions in families of 5 for independent."""
    rng = np.random.default_rng(1)
    families = DESIGNS["families of 5"].families(500)
    gains = draw_gains(rng, DESIGNS["families of 5"], 500, 8, 0.6, repeats=500)
    clustered, alone = blank(families, 8), blank(np.arange(500), 8)
    assert share_found([difference_of(gain, clustered) for gain in gains]) < 8
    assert share_found([difference_of(gain, alone) for gain in gains]) > 12


@pytest.mark.parametrize("truth", TRUTHS)
def test_few_questions_do_not_raise_the_error_rate(truth: float) -> None:
    assert share_found(differences(CLUSTERED, 30, 1, truth, repeats=1000)) <= 6.5


@pytest.mark.parametrize(("name", "num_samples"), COMPARED)
def test_five_points_are_found_as_often_as_stated(name: str, num_samples: int) -> None:
    found = differences(DESIGNS[name], 500, num_samples, 0.6, better_by=0.05, repeats=1000)
    stated = 100 * float(np.mean([one.power_for(0.05) for one in found[::20]]))
    assert 30 < stated < 97
    assert share_found(found) == pytest.approx(stated, abs=4)


def test_the_smallest_detectable_difference_is_found_in_eighty_of_a_hundred() -> None:
    trials = differences(CLUSTERED, 500, 1, 0.6, seed=2, repeats=40)
    smallest = float(np.median([one.smallest_detectable() or np.nan for one in trials]))
    found = differences(CLUSTERED, 500, 1, 0.6, better_by=smallest, repeats=1000)
    assert share_found(found) == pytest.approx(80, abs=4)


@pytest.mark.parametrize("num_questions", SIZES)
def test_the_interval_of_a_token_ratio_holds_it(num_questions: int) -> None:
    repeats = 600 if num_questions < 100 else 200
    assert 92 <= ratio_coverage(CLUSTERED, num_questions, repeats=repeats) <= 98
