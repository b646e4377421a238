"""mean@k, pass@k, maj@k by hand and against their definitions."""

from itertools import combinations

import numpy as np
import pytest

from tasks.statistics.outcomes import Outcomes, in_common
from tasks.statistics.rates import maj_at_k, pass_at_k


def outcomes(questions: str, **changed: object) -> Outcomes:
    number = len(questions)
    columns: dict[str, object] = {
        "num_correct": [1] * number, "num_samples": [2] * number, "num_cut_off": [0] * number,
        "mean_tokens": np.arange(number), "mean_seconds": np.ones(number),
    }  # fmt: skip
    return Outcomes.of(list(questions), **{**columns, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize("num_correct", range(6))
@pytest.mark.parametrize("k", range(1, 6))
def test_pass_at_k_is_the_share_of_draws_that_hold_a_correct_sample(
    num_correct: int, k: int
) -> None:
    samples = [number < num_correct for number in range(5)]
    draws = [any(draw) for draw in combinations(samples, k)]
    assert pass_at_k([num_correct], [5], k=k)[0] == pytest.approx(sum(draws) / len(draws))


def test_pass_at_k_needs_k_samples() -> None:
    assert np.isnan(pass_at_k([1, 1], [2, 3], k=3)).tolist() == [True, False]
    assert pass_at_k([1], [4], k=1).tolist() == [0.25]


@pytest.mark.parametrize(
    ("said", "right", "expected"),
    [
        (["7", "8", "7"], [True, False, True], 1.0),
        (["7", "8", "8"], [True, False, False], 0.0),
        (["7", "8"], [True, False], 0.5),  # a tie
        (["1/2", "0.5", "3", "3"], [True, True, False, False], 0.5),  # both are the gold answer
        ([None, None, "7"], [False, False, True], 1.0),  # no answer, no vote
        ([None, None], [False, False], 0.0),
    ],
)
def test_maj_at_k(said: list[str | None], right: list[bool], expected: float) -> None:
    assert maj_at_k([said], [right]).tolist() == [expected]


def test_maj_at_k_of_the_first_samples() -> None:
    said, right = [["7", "8", "8"]], [[True, False, False]]
    assert [maj_at_k(said, right, k=k)[0] for k in (1, 2, 3)] == [1.0, 0.5, 0.0]


def test_outcomes_are_cut_to_the_questions_both_have() -> None:
    first, second = in_common(outcomes("abcd"), outcomes("dxb"))
    assert first.questions == second.questions == ("b", "d")
    assert first.mean_tokens.tolist() == [1, 3]
    assert second.mean_tokens.tolist() == [2, 0]


def test_a_question_without_a_family_is_its_own() -> None:
    assert outcomes("ab").clusters.tolist() == [0, 1]
    assert outcomes("abc", families=["f", None, "f"]).clusters.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"num_correct": [1]}, "each column needs 2 entries"),
        ({"num_correct": [1, 3]}, "counts are of the samples"),
        ({"num_correct": [0, 0], "num_samples": [1, 0]}, "needs a sample"),
    ],
)
def test_outcomes_refuse_what_they_are_not(changed: dict[str, object], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        outcomes("ab", **changed)
    with pytest.raises(ValueError, match="there twice"):
        outcomes("aa")
