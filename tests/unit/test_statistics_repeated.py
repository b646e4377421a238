"""Methods over seeds: what a seed did to a student is not taken for what its method does."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tasks.statistics.clusters import Interval, Ratio
from tasks.statistics.outcomes import Floats, Outcomes
from tasks.statistics.paired import Comparison, compare, difference_of
from tasks.statistics.repeated import Pair, over_repetitions

NUM_QUESTIONS, NUM_SEEDS, REPEATS = 200, 5, 300
OF_A_SEED = 0.3  # logits by which a student of one seed differs from another's: some 7 points
OF_A_QUESTION = 0.5  # logits by which a method suits a question


def answers(correct: Floats, tokens: Floats) -> Outcomes:
    number = len(correct)
    return Outcomes.of(
        [f"p{n:03}" for n in range(number)], num_correct=correct, num_samples=[1] * number,
        mean_tokens=tokens, num_cut_off=[0] * number, mean_seconds=tokens / 100,
    )  # fmt: skip


def students(
    rng: np.random.Generator, *, better_by: float = 0.0, of_a_seed: float = OF_A_SEED
) -> list[Pair]:
    """A pair a seed; `better_by`: logits, and of the logarithm of tokens."""
    easiness = rng.normal(0.4, 1.0, NUM_QUESTIONS)
    suits = rng.normal(0, OF_A_QUESTION, (2, NUM_QUESTIONS))
    pairs = []
    for _ in range(NUM_SEEDS):
        sides = []
        for side in (0, 1):
            of_student = rng.normal(0, of_a_seed) + side * better_by + suits[side]
            right = rng.random(NUM_QUESTIONS) < 1 / (1 + np.exp(-easiness - of_student))
            lengths = np.exp(4 + 0.3 * of_student + rng.normal(0, 0.2, NUM_QUESTIONS))
            sides.append(answers(right.astype(float), lengths))
        pairs.append((sides[0], sides[1]))
    return pairs


def pooled(pairs: list[Pair]) -> Comparison:
    """Answers under all seeds as samples of a question, compared by question alone."""
    sides = [
        Outcomes.of(
            side[0].questions, num_correct=sum(one.num_correct for one in side),
            num_samples=[len(side)] * len(side[0]),
            mean_tokens=np.mean([one.mean_tokens for one in side], axis=0),
            num_cut_off=side[0].num_cut_off, mean_seconds=side[0].mean_seconds,
        )
        for side in zip(*pairs, strict=True)
    ]  # fmt: skip
    first, second = sides
    ratio = float(second.mean_tokens.sum() / first.mean_tokens.sum())
    known = Ratio(value=ratio, interval=Interval(0, 9), log_error=0.1, num_families=len(first))
    return Comparison(
        first=first, second=second, tokens=known, seconds=known, num_won=0, num_lost=0,
        accuracy=difference_of(second.accuracy - first.accuracy, first), mcnemar=None,
    )  # fmt: skip


@cache
def found_of(better_by: float) -> list[tuple[Comparison, Comparison]]:
    """By question alone, and over seeds."""
    rng = np.random.default_rng(1)
    drawn = [students(rng, better_by=better_by) for _ in range(REPEATS)]
    return [(one, over_repetitions(one, pairs)) for pairs in drawn for one in [pooled(pairs)]]


def share(found: list[Comparison]) -> float:
    return 100 * float(np.mean([(one.accuracy.p_value or 1.0) < 0.05 for one in found]))


def test_students_that_differ_by_their_seeds_are_no_difference_of_methods() -> None:
    """And by question alone they are one, five times too often."""
    assert share([over for _, over in found_of(0.0)]) <= 6.5
    assert share([alone for alone, _ in found_of(0.0)]) > 15


def test_a_difference_of_methods_is_found_nonetheless() -> None:
    assert share([over for _, over in found_of(1.2)]) > 70


def test_the_interval_of_a_token_ratio_holds_it() -> None:
    around = [over.tokens.interval for _, over in found_of(0.0)]
    held = [low <= 1 <= high for low, high in filter(None, around)]
    assert len(held) == REPEATS
    assert np.mean(held) > 0.93


def test_where_seeds_are_alike_the_questions_are_what_is_uncertain() -> None:
    pairs = students(np.random.default_rng(2), of_a_seed=0.0)
    one = pairs[0]
    found = over_repetitions(pooled([one] * NUM_SEEDS), [one] * NUM_SEEDS)
    alone = compare(*one)
    assert found.accuracy.difference == alone.accuracy.difference
    assert found.accuracy.error == pytest.approx(alone.accuracy.error, rel=0.01)
    assert (found.accuracy.num_families, found.tokens.num_families) == (NUM_SEEDS, NUM_SEEDS)
    assert found.tokens.log_error == pytest.approx(alone.tokens.log_error, rel=0.05)


def test_one_seed_says_nothing_of_others() -> None:
    (pair, *_) = students(np.random.default_rng(3))
    alone = compare(*pair)
    assert over_repetitions(alone, [pair]) is alone
