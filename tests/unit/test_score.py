"""Student scores against numbers worked out by hand."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ports import ScoreRequest, TokenScores
from tasks.schemas import Score
from tasks.score import (
    ScoreConfig,
    ScoreRecord,
    local_naturalness,
    mean_nll,
    perplexity,
    rank_surprisal_ratio,
    rationale_difficulty,
    score,
    without_answer,
)
from tests.fakes import TableScorer, ports

TEXT = "two and two are four\nThe answer is 4."
HALF, QUARTER, EIGHTH = -math.log(2), -math.log(4), -math.log(8)


def table(request: ScoreRequest, number: int) -> tuple[Sequence[float], Sequence[int]]:
    """Rationale: 1/2 a token (1/4 without the question); answer: 1/2 behind it, 1/8 alone."""
    if request.prompt is None:
        return [QUARTER, QUARTER], [1, 1]
    if len(request.targets) == 1:
        return [EIGHTH], [9]
    return ([HALF, HALF], [1, 500]) if number == 0 else ([HALF], [1])


def run(student: TableScorer, text: str = TEXT, **settings: object) -> Score:
    record = ScoreRecord(record_id="r", problem_id="p", question="q", answer="4", text=text)
    config = ScoreConfig.model_validate(settings)
    (row,) = asyncio.run(score(record, ports(scoring={"student": student}), config))
    return row


def test_by_hand() -> None:
    row = run(TableScorer(table, name="student-1"))
    assert (row.rationale_id, row.problem_id, row.student) == ("r", "p", "student-1")
    assert (row.num_tokens, row.num_answer_tokens) == (2, 1)
    assert row.ppl_rationale == pytest.approx(2)
    assert row.ppl_answer == pytest.approx(8)
    assert row.ppl_answer_given_rationale == pytest.approx(2)
    assert row.rd == pytest.approx(2 / 8)
    assert row.ifd == pytest.approx(0.5)  # ln 2 / ln 4
    assert row.grape == pytest.approx(-math.log(2))
    assert row.rsr == pytest.approx(101 / (2 * math.log(2)))  # ranks 1 and 100, clipped
    assert row.naturalness is None


def test_the_difference_form() -> None:
    assert run(TableScorer(table), rd_form="difference").rd == pytest.approx(
        math.log(2) - math.log(8)
    )


def test_only_what_is_wanted_is_computed() -> None:
    student = TableScorer(table)
    row = run(student, scorers=["rd"])
    assert (row.ifd, row.grape, row.rsr, row.naturalness) == (None, None, None, None)
    assert len(student.asked) == 2


def test_the_rationale_does_not_give_its_answer_away() -> None:
    student = TableScorer(table)
    run(student, scorers=["rd"])
    both = next(request for request in student.asked if len(request.targets) == 2)
    assert both.targets == ("two and two are four", "\nThe answer is 4.")


def test_stripping_can_be_off() -> None:
    student = TableScorer(table)
    run(student, scorers=["rd"], strip_answer=False)
    both = next(request for request in student.asked if len(request.targets) == 2)
    assert both.targets[0] == TEXT


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("add them\nThe answer is 4.", "add them"),
        ("add them. So the final answer is 3.5.", "add them."),
        ("add them\n#### 4", "add them"),
        ("add them\nSo we get \\boxed{4}.\n", "add them"),
        ("add them\nA: 4", "add them"),
        ("The answer is 4.", "The answer is 4."),
        ("the answer is not 5\nso add them", "the answer is not 5\nso add them"),
        ("add them\nArea: 12", "add them\nArea: 12"),
        ("add them", "add them"),
        ("", ""),
    ],
)
def test_without_answer(text: str, left: str) -> None:
    assert without_answer(text) == left


@given(st.text(max_size=2000))
def test_without_answer_only_shortens(text: str) -> None:
    left = without_answer(text)
    assert text.startswith(left)
    assert left or not text


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_a_rationale_helps_when_it_lowers_the_answers_surprise(given: float, alone: float) -> None:
    ratio = rationale_difficulty(nll_given=given, nll_alone=alone, form="ratio")
    difference = rationale_difficulty(nll_given=given, nll_alone=alone, form="difference")
    assert (ratio < 1) == (math.exp(difference) < 1)
    assert ratio == pytest.approx(perplexity(given) / perplexity(alone))


def test_extremes_do_not_overflow() -> None:
    assert perplexity(1e6) == math.inf
    assert mean_nll([TokenScores(logprobs=(), ranks=())]) == 0.0
    assert rank_surprisal_ratio(TokenScores(logprobs=(0.0,), ranks=(1,)), rank_clip=100) is None


def test_naturalness_sees_a_window_of_steps() -> None:
    student = TableScorer(lambda request, number: ([-1.0, -3.0], [1, 1]))
    mean = asyncio.run(local_naturalness("one\n\ntwo\nthree\nfour", student, window=2))
    assert mean == pytest.approx(-2.0)
    assert [request.targets for request in student.asked] == [
        ("", "one"), ("one", "two"), ("one\ntwo", "three"), ("two\nthree", "four")
    ]  # fmt: skip


def test_naturalness_of_nothing() -> None:
    student = TableScorer(lambda request, number: ([-1.0], [1]))
    assert asyncio.run(local_naturalness("  \n", student, window=2)) is None
