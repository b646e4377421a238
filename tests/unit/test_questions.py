"""Every question of the corpus is answerable by name, listed, and documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from sql.database import connect
from sql.questions import UnknownQuestionError, answer, questions
from tests.unit.sample_answers import ANSWERS
from tests.unit.sample_corpus import write_sample

DOCS = Path(__file__).parent.parent.parent / "docs" / "sql.md"


def test_every_question_is_a_question_with_an_expected_answer() -> None:
    assert questions().keys() == ANSWERS.keys()
    assert all(asked.endswith("?") for asked in questions().values())


def test_a_question_is_answered_by_name(tmp_path: Path) -> None:
    database = connect(write_sample(tmp_path / "corpus"))
    assert answer(database, "kinds_kept").rows == ANSWERS["kinds_kept"]


def test_an_unknown_question_is_named() -> None:
    told = r"no question 'nothing'\. `litecot ask` lists them all"
    with pytest.raises(UnknownQuestionError, match=told):
        answer(connect({}), "nothing")


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_every_question_is_documented(name: str) -> None:
    assert f"`litecot ask {name}`" in DOCS.read_text(encoding="utf-8")
