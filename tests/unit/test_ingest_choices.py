"""Options of a multiple choice in every form sources have, and the letter of every form of gold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.intake.choices import LETTERS, Options, Reading, reading_of, which
from tasks.intake.problems import (
    ColumnMapping,
    IngestedProblem,
    IngestError,
    SourceConfig,
    read_problems,
    read_questions,
)
from tasks.intake.wording import wording
from tasks.schemas import Rejection

STEM = "Which one swims?"
LISTED = f"{STEM}\n(A) cat\n(B) cod\n(C) hen"


def ingest(folder: Path, *rows: dict[str, Any], **config: Any) -> list[Any]:
    path = folder / "quiz.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return list(read_problems(path, SourceConfig(**config)))


def problem(items: list[Any]) -> IngestedProblem:
    (item,) = items
    assert isinstance(item, IngestedProblem)
    return item


FORMS: dict[str, dict[str, Any]] = {
    "MMLU": {"question": STEM, "choices": ["cat", "cod", "hen"], "answer": 1},
    "MMLU-Pro": {"question": STEM, "options": ["cat", "cod", "hen"], "answer": "B",
                 "answer_index": 1},
    "ARC": {"question": STEM, "choices": {"text": ["cat", "cod", "hen"], "label": ["A", "B", "C"]},
            "answerKey": "B"},
    "ARC with digits": {"question": STEM, "answerKey": "2",
                        "choices": {"text": ["cat", "cod", "hen"], "label": ["1", "2", "3"]}},
    "CommonsenseQA": {"question": {"stem": STEM, "choices": [
        {"label": "A", "text": "cat"}, {"label": "B", "text": "cod"}, {"label": "C", "text": "hen"}
    ]}, "answerKey": "B"},
    "OpenBookQA": {"question_stem": STEM, "answerKey": "B",
                   "choices": {"text": ["cat", "cod", "hen"], "label": ["A", "B", "C"]}},
    "C-Eval": {"question": STEM, "A": "cat", "B": "cod", "C": "hen", "D": "", "answer": "B"},
    "MedMCQA": {"question": STEM, "opa": "cat", "opb": "cod", "opc": "hen", "cop": 1},
    "op1": {"question": STEM, "op1": "cat", "op2": "cod", "op3": "hen", "answer": "cod"},
    "choice_a": {"question": STEM, "choice_a": "cat", "choice_b": "cod", "choice_c": "hen",
                 "answer": "(b)"},
    "AQuA": {"question": STEM, "options": ["A)cat", "B)cod", "C)hen"], "correct": "B"},
    "MathQA": {"Problem": STEM, "options": "a ) cat , b ) cod , c ) hen", "correct": "b"},
    "HellaSwag": {"question": STEM, "endings": ["cat", "cod", "hen"], "label": "1"},
    "object": {"question": STEM, "options": {"A": "cat", "B": "cod", "C": "hen", "D": None},
               "answer": "B"},
    "objects": {"question": STEM, "options": [{"A": "cat"}, {"B": "cod"}, {"C": "hen"}],
                "answer": "B"},
    "as text": {"question": STEM, "choices": "['cat', 'cod', 'hen']", "answer": "cod"},
    "a worked solution": {"question": STEM, "options": ["cat", "cod", "hen"],
                          "answer": "Cats and hens do not.\n#### B"},
    "letter and text": {"question": STEM, "options": ["cat", "cod", "hen"], "answer": "B. cod"},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_options_become_lines_and_the_gold_a_letter(tmp_path: Path, form: str) -> None:
    found = problem(ingest(tmp_path, FORMS[form])).problem
    assert (found.question, found.answer, found.answer_type) == (LISTED, "B", "choice")


def test_options_and_letters_come_out_of_parquet_alike(tmp_path: Path) -> None:
    for form in ("MMLU", "ARC", "CommonsenseQA", "object"):
        pq.write_table(pa.Table.from_pylist([FORMS[form]]), tmp_path / "quiz.parquet")
        found = problem(list(read_problems(tmp_path / "quiz.parquet"))).problem
        assert (found.question, found.answer) == (LISTED, "B"), form


@pytest.mark.parametrize(
    "columns",
    [
        ColumnMapping(question=("q", "alts")),
        ColumnMapping(question="q", options=("alts",)),
        ColumnMapping(question=("q",), options=("one", "two", "three")),
    ],
)
def test_options_may_be_named_whatever_their_columns_are_called(
    tmp_path: Path, columns: ColumnMapping
) -> None:
    row = {"q": STEM, "alts": ["cat", "cod", "hen"], "one": "cat", "two": "cod", "three": "hen",
           "answer": "B"}  # fmt: skip
    assert problem(ingest(tmp_path, row, columns=columns)).problem.question == LISTED


def test_positions_count_from_where_the_rows_show(tmp_path: Path) -> None:
    def letters(*golds: object) -> list[str]:
        rows = [
            {"question": f"{STEM} {n}", "options": ["p", "q", "r"], "answer": gold}
            for n, gold in enumerate(golds)
        ]
        return [f"{i.problem.answer}{'?' * bool(i.warnings)}" for i in ingest(tmp_path, *rows)]

    assert letters(0, 1, 2) == ["A", "B", "C"]
    assert letters("1", "2", "3") == ["A", "B", "C"]
    assert letters(1, 2) == ["B?", "C?"]  # from 0, said to be in doubt
    assert letters(1.0, 0) == ["B", "A"]
    assert letters(["A", "C"], "B, C", [0, 1]) == ["A,C", "B,C", "A,B"]


def test_a_number_that_is_the_text_of_an_option_is_in_doubt(tmp_path: Path) -> None:
    row = {"question": "1 + 2?", "options": ["3", "2", "1"], "answer": 1}
    item = problem(ingest(tmp_path, row))
    assert (item.problem.answer, item.warnings) == ("C", ("ambiguous_gold",))
    row = {"question": "5 + 2?", "options": ["7", "6", "1"], "answer": 7}
    item = problem(ingest(tmp_path, row))
    assert (item.problem.answer, item.warnings) == ("A", ())


def test_with_another_answer_type_the_gold_is_the_text_of_its_option(tmp_path: Path) -> None:
    row = {"question": "5 + 2?", "options": ["6", "7"], "answer": "B"}
    found = problem(ingest(tmp_path, row, answer_type="integer")).problem
    assert (found.answer, found.answer_type) == ("7", "integer")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"options": ["cat", "cod"], "answer": "whale"}, "answer_not_an_option"),
        ({"options": ["cat", "cod"], "answer": 7}, "answer_not_an_option"),
        ({"options": ["cat", "cod"], "answer": "D"}, "answer_not_an_option"),
        ({"options": ["cat", ""], "answer": "A"}, "unreadable_options"),
        ({"options": [str(n) for n in range(11)], "answer": "A"}, "unreadable_options"),
        ({"options": ["cat", "cod"], "answer": None}, "missing_answer"),
    ],
)
def test_a_row_whose_options_or_gold_are_odd_is_refused_with_its_reason(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    good = [{"question": f"{n}?", "options": ["p", "q"], "answer": "A"} for n in range(3)]
    *_, found = ingest(tmp_path, *good, {"question": STEM, **row})
    assert isinstance(found, Rejection)
    assert found.reason == reason


def test_a_row_without_options_among_others_is_an_ordinary_problem(tmp_path: Path) -> None:
    rows = [{"question": "?", "options": ["p", "q"], "answer": "A"},
            {"question": "2 + 2?", "options": None, "answer": "4"}]  # fmt: skip
    found = ingest(tmp_path, *rows)[1].problem
    assert (found.question, found.answer, found.answer_type) == ("2 + 2?", "4", "integer")


def test_options_that_the_question_lists_already_are_not_added(tmp_path: Path) -> None:
    question = f"{STEM}\nA. cat\nB. cod"
    row = {"question": question, "options": ["cat", "cod"], "answer": 1}
    assert problem(ingest(tmp_path, row)).problem.question == question


def test_a_column_that_only_looks_like_options_is_not_taken_for_them(tmp_path: Path) -> None:
    row = {"question": STEM, "options": ["fast", "slow"], "answer": "17"}
    with pytest.raises(IngestError, match=r"options may .* --question-column options"):
        ingest(tmp_path, row)
    left = ingest(tmp_path, row, columns=ColumnMapping(question="question"))
    assert problem(left).problem.question == STEM
    named = {"question": STEM, "choices": ["cat", "cod"], "answer": "B"}
    ignored = {"columns": ColumnMapping(question="question"), "options": "ignore"}
    assert problem(ingest(tmp_path, named, **ignored)).problem.question == STEM


def test_columns_that_name_different_options_are_an_error(tmp_path: Path) -> None:
    row = {"question": STEM, "options": ["cat", "cod"], "answer": "A", "answerKey": "B"}
    with pytest.raises(IngestError, match=r"both answer and answerKey .*--answer-column"):
        ingest(tmp_path, row)


def test_a_list_named_for_the_question_alone_says_which_flag_it_needs(tmp_path: Path) -> None:
    row = {"q": ["one", "two"], "answer": "A"}
    with pytest.raises(IngestError, match="--options-column q"):
        ingest(tmp_path, row, columns=ColumnMapping(question="q"))


def test_a_set_that_is_held_out_is_known_with_and_without_its_options(tmp_path: Path) -> None:
    path = tmp_path / "eval.jsonl"
    path.write_text(json.dumps(FORMS["MMLU"]))
    assert [text for _, text in read_questions([path])] == [LISTED, STEM]


FORMS_OF_GOLD: list[Callable[[int, Options], object]] = [
    lambda n, o: LETTERS[n],
    lambda n, o: f"({LETTERS[n]})",
    lambda n, o: f"{LETTERS[n].lower()}.",
    lambda n, o: f"${LETTERS[n]}$",
    lambda n, o: rf"\boxed{{{LETTERS[n]}}}",
    lambda n, o: f"The answer is ({LETTERS[n]}).",
    lambda n, o: f"{LETTERS[n]}) {o.texts[n]}",
    lambda n, o: o.texts[n],
    lambda n, o: f" {o.texts[n].upper()} ",
    lambda n, o: n,
    lambda n, o: float(n),
    lambda n, o: str(n),
    lambda n, o: [LETTERS[n]],
]
WORDS = (
    st.text("klmnopqrs tuvwxyz", min_size=2, max_size=12)
    .map(str.strip)
    .filter(lambda text: len(text) > 1)
)  # no letter, no number: nothing else than an option's text


@settings(max_examples=200)
@given(data=st.data())
def test_whatever_names_an_option_is_read_as_that_option(data: st.DataObject) -> None:
    texts = data.draw(st.lists(WORDS, min_size=2, max_size=10, unique_by=wording))
    options = Options(tuple(texts))
    number = data.draw(st.integers(0, len(texts) - 1))
    form = data.draw(st.sampled_from(FORMS_OF_GOLD))
    value = form(number, options)
    reading = reading_of([(0, options), (value, options)])
    gold = which(value, options, reading)
    assert gold is not None
    assert gold.numbers == (number,)
    assert not gold.is_ambiguous


def test_no_reading_of_a_stranger_is_an_option() -> None:
    options = Options(("cat", "cod"))
    for value in ("hen", "E", 2, -1, "", None, [], ["A", "hen"], {"A": 1}, "1/2", b"A"):
        assert which(value, options, Reading(is_sure=True)) is None
