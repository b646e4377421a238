"""Every question of the corpus is answerable by name, listed, and documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flows.cli.docs.answers import NONE, SETTINGS, answered
from sql.database import connect
from sql.questions import UnknownQuestionError, question_text, questions
from tests.unit.sample_answers import ANSWERS
from tests.unit.sample_corpus import write_sample

DOCS = Path(__file__).parent.parent.parent / "docs" / "sql.md"


def test_every_question_is_a_question_with_an_expected_answer() -> None:
    assert questions().keys() == ANSWERS.keys()
    assert all(asked.endswith("?") for asked in questions().values())


def test_a_question_is_answered_by_name(tmp_path: Path) -> None:
    database = connect(write_sample(tmp_path / "corpus"))
    assert database.run(question_text("kinds_kept")).rows == ANSWERS["kinds_kept"]


def test_an_unknown_question_is_named() -> None:
    told = r"no question 'nothing'\. `litecot ask` lists them all"
    with pytest.raises(UnknownQuestionError, match=told):
        question_text("nothing")


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_every_question_is_documented(name: str) -> None:
    assert f"`litecot ask {name}`" in DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_the_documented_answer_has_the_columns_of_the_real_one(name: str) -> None:
    """The page's rows are the demo's (`make answers`); their columns are today's."""
    page = DOCS.read_text(encoding="utf-8")
    told = page.partition(f"`litecot ask {name}`")[2].partition("\n#")[0]
    if NONE in told:
        return
    shown = re.search(r"^\| (.+) \|\n\|[-:| ]+\|$", told, re.M)
    assert shown, f"docs/sql.md shows no answer of {name}"
    with connect({}) as database:
        columns = database.run(question_text(name)).columns
    assert shown[1].split(" | ") == [column for column in columns if column != SETTINGS]


def test_answers_are_written_below_their_questions(tmp_path: Path) -> None:
    page = DOCS.read_text(encoding="utf-8")
    with connect(write_sample(tmp_path / "corpus")) as database:
        made = answered(page, database)
        assert answered(made, database) == made
    headings = re.findall(r"^#.*$", page, re.M)
    assert re.findall(r"^#.*$", made, re.M) == headings
    told = made.partition("`litecot ask kinds_kept`")[2].partition("\n#")[0]
    first = ANSWERS["kinds_kept"][0]
    assert f"| {first[0]} | {first[1]} |" in told
    assert "| not_json | 1 | line 5 |" in made
