"""Student scores against numbers worked out by hand."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ports import Prompt, ScoreRequest, TokenScores
from tasks.schemas import Score
from tasks.score import (
    ScoreConfig,
    ScoreRecord,
    score,
    score_request,
    without_answer,
)
from tasks.scorers.ifd import instruction_difficulty
from tasks.scorers.naturalness import local_naturalness, split_steps
from tasks.scorers.rd import rationale_difficulty
from tasks.scorers.rsr import rank_surprisal_ratio
from tasks.scorers.scorer import mean_nll, perplexity
from tests.fakes import TableScorer, ports

TEXT = "two and two are four\nThe answer is 4."
HALF, QUARTER, EIGHTH = -math.log(2), -math.log(4), -math.log(8)
ALL = ("rd", "ifd", "grape", "rsr", "naturalness")


class WholeScorer(TableScorer):
    """A TableScorer that also scores what is beside a request."""

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        return [
            scores
            for each in (request, *request.beside)
            for scores in await super(WholeScorer, self).score(each)
        ]


def table(request: ScoreRequest, number: int) -> tuple[Sequence[float], Sequence[int]]:
    """Rationale: 1/2 a token (1/4 without the question; as a step 1/8); line break: 1/2; answer:
    1/2 behind the rationale, 1/8 alone."""
    if request.prompt is None:
        is_step = request.context or request.targets[0].endswith("\n")
        return ([EIGHTH], [9]) if is_step else ([QUARTER, QUARTER], [1, 1])
    if len(request.targets) == 1:
        return [EIGHTH], [9]
    return ([HALF, HALF], [1, 500]) if number == 0 else ([HALF], [1])


def record(text: str = TEXT) -> ScoreRecord:
    return ScoreRecord(record_id="r", problem_id="p", question="q", answer="4", text=text)


def run(student: TableScorer, text: str = TEXT, **settings: object) -> Score:
    config = ScoreConfig.model_validate(settings)
    (row,) = asyncio.run(score(record(text), ports(scoring={"student": student}), config))
    return row


def test_by_hand() -> None:
    row = run(WholeScorer(table, name="student-1"))
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
    assert run(WholeScorer(table), rd_form="difference").rd == pytest.approx(
        math.log(2) - math.log(8)
    )


def test_only_what_is_wanted_is_computed() -> None:
    student = WholeScorer(table)
    row = run(student, scorers=["rd"])
    assert (row.ifd, row.grape, row.rsr, row.naturalness) == (None, None, None, None)
    assert len(student.asked) == 2


def test_all_of_them_are_one_request() -> None:
    student = WholeScorer(table)
    row = run(student, "one\ntwo\nThe answer is 4.", scorers=list(ALL))
    assert [len(request.beside) for request in student.asked] == [4, 0, 0, 0, 0]
    assert row.naturalness == pytest.approx(-math.log(8))


def test_an_empty_rationale_neither_helps_nor_has_scores_of_its_own() -> None:
    def same(request: ScoreRequest, number: int) -> tuple[Sequence[float], Sequence[int]]:
        return ([EIGHTH], [9]) if request.targets[number] else ([], [])

    row = run(WholeScorer(same), "", scorers=list(ALL))
    assert (row.rd, row.num_tokens, row.ppl_rationale) == (1, 0, 1)
    assert (row.ifd, row.grape, row.rsr, row.naturalness) == (None, None, None, None)


def test_the_rationale_does_not_give_its_answer_away() -> None:
    request = score_request(record(), Prompt(text="q"), ScoreConfig(scorers=("rd",)))
    assert request.targets == ("two and two are four", "\n", "The answer is 4.")
    assert [alone.targets for alone in request.beside] == [("The answer is 4.",)]


def test_stripping_can_be_off() -> None:
    config = ScoreConfig(scorers=("rd",), strip_answer=False)
    assert score_request(record(), Prompt(text="q"), config).targets[0] == TEXT


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
    certain, nothing = (TokenScores(logprobs=p, ranks=(1,) * len(p)) for p in ((0.0,), ()))
    assert perplexity(1e6) == math.inf
    assert mean_nll(nothing) == 0.0
    assert rank_surprisal_ratio(certain, rank_clip=100) is None
    assert instruction_difficulty(certain, certain) is None


@given(st.text(alphabet="ab \n\r\u2028", max_size=60))
def test_steps_are_the_text(text: str) -> None:
    steps = split_steps(text)
    assert text.endswith("".join(steps))
    assert all(step.strip() for step in steps)
    assert bool(steps) == bool(text.strip())


def test_naturalness_sees_a_window_of_steps() -> None:
    config = ScoreConfig(scorers=("naturalness",), strip_answer=False)
    request = score_request(record("one\n\ntwo\nthree\nfour"), Prompt(text="q"), config)
    assert [(each.prompt, each.context, each.targets) for each in request.beside[1:]] == [
        (None, (), ("one\n\n",)),
        (None, ("one\n\n",), ("two\n",)),
        (None, ("one\n\n", "two\n"), ("three\n",)),
        (None, ("two\n", "three\n"), ("four",)),
    ]


def test_naturalness_is_a_mean_over_steps_not_over_tokens() -> None:
    steps = [TokenScores(logprobs=(-1.0,), ranks=(1,)), TokenScores(logprobs=(-3.0,) * 9, ranks=())]
    assert local_naturalness(steps) == pytest.approx(-2.0)
    assert local_naturalness([]) is None
