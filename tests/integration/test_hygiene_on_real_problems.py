"""Hygiene on published sets: what is removed from one against another, each removal read by hand.

docs/hygiene.md has the table. The data is not part of the repository; without it the tests skip.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tasks.intake.columns import ColumnMapping
from tasks.intake.hygiene import HygieneConfig, NearDuplicates, held_out_questions, screen
from tasks.intake.problems import IngestedProblem, SourceConfig, read_problems, read_questions
from tasks.schemas import Rejection
from tests.real_chains import DATA

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the data is not beside this checkout")

GSM8K, GSM8K_TEST = "gsm8k_train", "gsm8k_test_openai_4candidates"
MATH100, MATH500, AIME = "math100_qwen25math_8candidates", "math500_test", "aime24_test"
CHAINS = "math500_skyt1_27b_longcot"
COLUMNS = {
    MATH100: ColumnMapping(answer="gt", candidates=("code",)),
    CHAINS: ColumnMapping(answer="gt", candidates=("code",)),
    "svamp": ColumnMapping(question=("Body", "Question"), answer="Answer"),
    "math_train_thinking_samples": ColumnMapping(
        question="problem", answer="gtruth_answer", candidates=("message_thinking",)
    ),
}
EQUAL, HALF, NEAR = "in_evaluation_set", "shares_ngram_with_evaluation", "near_duplicate_question"


def removed(train: str, evaluation: str | None) -> list[Rejection]:
    """What hygiene, as it is by default, removes of `train`; rows that cannot be read aside."""
    config = HygieneConfig()
    source = SourceConfig(columns=COLUMNS.get(train, ColumnMapping()))
    items = read_problems(DATA / f"{train}.jsonl", source)
    questions = read_questions([DATA / f"{evaluation}.jsonl"]) if evaluation else ()
    held_out = held_out_questions(questions, config, ids={})
    found = screen(items, held_out=held_out, near=NearDuplicates(config))
    return [item for item in found if isinstance(item, Rejection) and item.twin]


@pytest.mark.parametrize(
    ("train", "evaluation", "expected"),
    [
        (GSM8K, GSM8K_TEST, {HALF: 3, NEAR: 1}),
        (GSM8K, MATH500, {NEAR: 1}),
        ("svamp", GSM8K_TEST, {}),
        (MATH100, MATH500, {EQUAL: 5, HALF: 2}),
        ("math_train_thinking_samples", MATH500, {}),
        (CHAINS, MATH500, {EQUAL: 499}),
        (CHAINS, MATH100, {EQUAL: 5, HALF: 2}),
        (CHAINS, AIME, {}),
        ("date_understanding_chatgpt_10candidates", None, {}),
        ("strategyqa_dev", None, {}),
    ],
)
def test_what_is_removed(train: str, evaluation: str | None, expected: dict[str, int]) -> None:
    assert Counter(item.reason for item in removed(train, evaluation)) == expected


def test_the_one_near_duplicate_of_gsm8k_is_one() -> None:
    (found,) = removed(GSM8K, None)
    first, second = (_question(int(line)) for line in ("2484", found.detail.split(":")[1]))
    assert found.twin == "gsm8k_train.jsonl:2484"
    assert first.replace("Josie", "Amanda") == second.replace("Josie", "Amanda")


def _question(line: int) -> str:
    items: Iterator[object] = read_problems(DATA / f"{GSM8K}.jsonl")
    problems = (item.problem for item in items if isinstance(item, IngestedProblem))
    return next(problem.question for problem in problems if problem.line == line)
