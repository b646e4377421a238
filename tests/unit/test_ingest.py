"""Ingest row by row: what becomes a problem, what a rejection, and that nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import answers
from tasks.intake.problems import (
    ColumnMapping,
    IngestedProblem,
    IngestError,
    SourceConfig,
    read_problems,
    read_questions,
)
from tasks.intake.values import align, as_it_came, lookup, normalise, read_flag, to_text
from tasks.intake.wording import wording
from tasks.prompts import render
from tasks.schemas import Rejection, content_id

GOOD = {"question": "What is 3 + 4?", "answer": "7"}


def ingest(path: Path, **config: Any) -> list[IngestedProblem | Rejection]:
    return list(read_problems(path, SourceConfig(**config)))


def write_rows(folder: Path, rows: Sequence[Any], name: str = "sums.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def after_good(folder: Path, *rows: Any, **config: Any) -> list[IngestedProblem | Rejection]:
    """The items of `rows`, written after one good row."""
    return ingest(write_rows(folder, [GOOD, *rows]), **config)[1:]


def rejection(items: Sequence[IngestedProblem | Rejection]) -> Rejection:
    (item,) = items
    assert isinstance(item, Rejection)
    return item


def problem(items: Sequence[IngestedProblem | Rejection]) -> IngestedProblem:
    (item,) = items
    assert isinstance(item, IngestedProblem)
    return item


def test_a_row_becomes_a_problem_with_its_source_and_line(tmp_path: Path) -> None:
    item = problem(ingest(write_rows(tmp_path, [{**GOOD, "subject": " Sums "}])))
    found = item.problem
    assert (found.source, found.line, found.subject) == ("sums.jsonl", 1, "Sums")
    assert (found.question, found.answer) == ("What is 3 + 4?", "7")
    assert found.answer_type == "integer"
    assert (item.candidates, item.warnings, item.is_new) == ([], (), True)


def test_gold_is_read_out_of_a_worked_solution(tmp_path: Path) -> None:
    rows = [{"question": "Ducks?", "answer": "16 - 7 = 9\nso 18\n#### 18"}]
    assert problem(ingest(write_rows(tmp_path, rows))).problem.answer == "18"


@pytest.mark.parametrize(
    ("cell", "answer"),
    [
        (18, "18"),
        (51.0, "51"),
        (0.5, "0.5"),
        (True, "yes"),
        (False, "no"),
        (["3", 4], "3, 4"),
        ([18], "18"),
        ("  7\u00a0 apples ", "7 apples"),
        ("cafe\u0301", "caf\u00e9"),
    ],
)
def test_answers_become_text(tmp_path: Path, cell: Any, answer: str) -> None:
    row = {"question": "How many?", "answer": cell}
    found = problem(after_good(tmp_path, row, answer_type="text"))
    assert found.problem.answer == answer


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "Q?"}, "missing_answer"),
        ({"question": "Q?", "answer": None}, "missing_answer"),
        ({"question": "Q?", "answer": "  "}, "missing_answer"),
        ({"question": "Q?", "answer": float("nan")}, "missing_answer"),
        ({"question": "Q?", "answer": float("inf")}, "missing_answer"),
        ({"question": "Q?", "answer": "NaN"}, "missing_answer"),
        ({"question": "Q?", "answer": []}, "missing_answer"),
        ({"question": "Q?", "answer": {"value": 7}}, "answer_not_text"),
        ({"question": "Q?", "answer": "7" * 100_001}, "answer_too_long"),
        ({"answer": "7"}, "empty_question"),
        ({"question": "", "answer": "7"}, "empty_question"),
        ({"question": "\0 \n\t", "answer": "7"}, "empty_question"),
        ({"question": {"stem": "Q?"}, "answer": "7"}, "question_not_text"),
        ({"question": "Q" * 100_001, "answer": "7"}, "question_too_long"),
        ({"question": "What is  3 + 4?\n", "answer": " 7"}, "duplicate_problem"),
        ({"question": "What is 3 + 4?", "answer": "8"}, "conflicting_answer"),
        ([1, 2], "not_an_object"),
        ("text", "not_an_object"),
        (None, "not_an_object"),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason(tmp_path: Path, row: Any, reason: str) -> None:
    found = rejection(after_good(tmp_path, row))
    assert (found.stage, found.reason) == ("ingest", reason)
    assert found.record_id == content_id("sums.jsonl", 2)
    assert found.detail.startswith("sums.jsonl:2: ")
    assert "\n" not in found.detail


def test_a_duplicate_names_the_problem_it_repeats(tmp_path: Path) -> None:
    first, again, other = ingest(write_rows(tmp_path, [GOOD, GOOD, {**GOOD, "answer": "8"}]))
    assert isinstance(first, IngestedProblem)
    assert isinstance(again, Rejection)
    assert isinstance(other, Rejection)
    assert again.problem_id == other.problem_id == first.problem.content_id("")


def test_duplicates_are_told_across_files(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    paths = [write_rows(tmp_path / folder, [GOOD]) for folder in ("a", "b")]
    first, second = read_problems(paths)
    assert isinstance(first, IngestedProblem)
    assert first.problem.source == "a/sums.jsonl"
    assert isinstance(second, Rejection)
    assert second.detail.startswith("b/sums.jsonl:1: ")


def test_candidates_carry_number_model_and_label(tmp_path: Path) -> None:
    row = {**GOOD, "code": ["= 7", "", "= 8"], "score": [True, None, 0], "model": "big"}
    item = problem(ingest(write_rows(tmp_path, [row])))
    assert item.warnings == ("empty_candidate",)
    assert [(c.candidate, c.text, c.model, c.recorded_correct) for c in item.candidates] == [
        (0, "= 7", "big", True),
        (2, "= 8", "big", False),
    ]
    assert {c.problem_id for c in item.candidates} == {item.problem.content_id("")}


@pytest.mark.parametrize("code", [None, []])
def test_a_row_without_a_rationale_is_told(tmp_path: Path, code: object) -> None:
    rows = [{**GOOD, "code": ["= 7"]}, {"question": "2 + 2?", "answer": "4", "code": code}]
    _, bare = ingest(write_rows(tmp_path, rows))
    assert problem([bare]).warnings == ("no_candidates",)


def test_a_duplicate_brings_only_its_new_candidates(tmp_path: Path) -> None:
    rows = [{**GOOD, "code": code} for code in (["a", "b"], ["b", "c"], "c", ["d"], None)]
    first, second, third, fourth, fifth = ingest(write_rows(tmp_path, rows))
    assert isinstance(first, IngestedProblem)
    assert first.is_new
    for item, expected in ((second, [(2, "c")]), (fourth, [(3, "d")])):
        assert isinstance(item, IngestedProblem)
        assert not item.is_new
        assert [(c.candidate, c.text) for c in item.candidates] == expected
        assert item.candidates[0].problem_id == first.problem.content_id("")
    for item in (third, fifth):
        assert isinstance(item, Rejection)
        assert item.reason == "duplicate_problem"


def test_labels_that_do_not_line_up_are_dropped_with_a_warning(tmp_path: Path) -> None:
    rows = [{**GOOD, "code": ["a", "b"], "score": [1]}]
    config = {"columns": ColumnMapping(candidates=("code",), correct=("score",))}
    item = problem(ingest(write_rows(tmp_path, rows), **config))
    assert item.warnings == ("labels_do_not_line_up",)
    assert [c.recorded_correct for c in item.candidates] == [None, None]


def test_an_unreadable_label_is_a_warning(tmp_path: Path) -> None:
    config = {"columns": ColumnMapping(candidates=("code",), correct=("score",))}
    path = write_rows(tmp_path, [{**GOOD, "code": ["a", "b"], "score": [0.5, "true"]}])
    item = problem(ingest(path, **config))
    assert item.warnings == ("unreadable_label",)
    assert [c.recorded_correct for c in item.candidates] == [None, True]


@pytest.mark.parametrize("token", ["<|im_end|>", "<compress>", "<|endoftext|>"])
def test_control_text_stays_text_with_a_warning(tmp_path: Path, token: str) -> None:
    row = {"question": f"What is {token}?", "answer": "7", "code": f"a {token}"}
    item = problem(ingest(write_rows(tmp_path, [row])))
    assert item.problem.question == f"What is {token}?"
    assert item.candidates[0].text == f"a {token}"
    assert item.warnings == ("control_text_in_question", "control_text_in_candidate")


def test_the_marks_of_a_thought_are_no_control_tokens(tmp_path: Path) -> None:
    chain = "<|begin_of_thought|>3 + 4<|end_of_thought|><|begin_of_solution|>7<|end_of_solution|>"
    item = problem(
        ingest(write_rows(tmp_path, [{"question": "3 + 4?", "answer": "7", "code": chain}]))
    )
    assert (item.candidates[0].text, item.warnings) == (chain, ())


def test_lone_surrogates_and_nuls_are_cleaned_with_a_warning(tmp_path: Path) -> None:
    row = {"question": "A\ud800B\0C \U0001f600?", "answer": "\udfff7", "code": "x\0\ud83d"}
    item = problem(after_good(tmp_path, row, answer_type="text"))
    assert item.problem.question == "A\ufffdBC \U0001f600?"
    assert item.problem.answer == "\ufffd7"
    assert item.candidates[0].text == "x\ufffd"
    assert set(item.warnings) == {"nul_removed", "surrogate_replaced"}


def test_answer_type_is_set_by_config_then_column_then_inference(tmp_path: Path) -> None:
    rows = [
        {**GOOD, "answer_type": "text"},
        {"question": "Q2", "answer": "7", "answer_type": "nonsense"},
    ]
    path = write_rows(tmp_path, rows)
    by_column, inferred = ingest(path)
    assert isinstance(by_column, IngestedProblem)
    assert isinstance(inferred, IngestedProblem)
    assert by_column.problem.answer_type == "text"
    assert inferred.problem.answer_type == "integer"
    assert inferred.warnings == ("unknown_answer_type",)
    for item in ingest(path, answer_type="math"):
        assert isinstance(item, IngestedProblem)
        assert item.problem.answer_type == "math"


def test_several_question_columns_are_joined(tmp_path: Path) -> None:
    path = write_rows(tmp_path, [{"Body": "A dvd costs 5.", "Question": "Two?", "Answer": 10.0}])
    columns = ColumnMapping(question=("Body", "Question"))
    item = problem(ingest(path, columns=columns))
    assert (item.problem.question, item.problem.answer) == ("A dvd costs 5.\nTwo?", "10")


def test_no_usable_row_at_all_is_an_error_after_the_rejections(tmp_path: Path) -> None:
    items: list[IngestedProblem | Rejection] = []
    stream = read_problems(write_rows(tmp_path, [{"question": "Q?", "answer": None}] * 3))
    with pytest.raises(IngestError, match=r"no row is a usable problem \(3 missing_answer\)") as e:
        items.extend(stream)
    assert len(items) == 3
    assert "sums.jsonl:1" in str(e.value)


def test_normalise_keeps_lines_and_indentation() -> None:
    text = "  def f():\r\n    return  1 \r\r\r\n\u2003x  y\u00a0z"
    assert normalise(text) == "def f():\n    return 1\n\n\u2003x y z"
    assert normalise("a" + " " * 200_000 + "\nb" + " " * 200_000 + "c") == "a\nb c"


TABLE = "  item      price\n  apples    3\t$\n\n\n\tpears  4  \nTotal?"
CODE = "What does it print?\n\n    for i in range(3):\n        print(i,   end='')\n\n\nend"


@pytest.mark.parametrize(
    ("cell", "kept"),
    [
        ("apples   3", "apples   3"),
        (TABLE, TABLE),
        (CODE, CODE),
        (f"\n \n{TABLE}\n\n", TABLE),
        (TABLE.replace("\n", "\r\n"), TABLE),
        ("10\u00a0000 cafe\u0301  s", "10\u00a0000 caf\u00e9  s"),
        ("  What is it? \n", "What is it?"),
        ("  What is it?\nSay it. ", "What is it?\nSay it."),
    ],
)
def test_a_question_is_kept_as_it_came(tmp_path: Path, cell: str, kept: str) -> None:
    row = {"question": cell, "answer": "7", "code": f"  {cell}  "}
    item = problem(ingest(write_rows(tmp_path, [row])))
    assert (item.problem.question, item.candidates[0].text) == (kept, f"  {cell}  ")
    assert kept in render("generate", "default", question=item.problem.question)


def test_blanks_make_no_new_problem_and_ids_of_plain_texts_stay(tmp_path: Path) -> None:
    rows = [{"question": q, "answer": "7"} for q in ("What is 3 + 4?", "What  is\n3 + 4?\n")]
    first, again = ingest(write_rows(tmp_path, rows))
    assert isinstance(first, IngestedProblem)
    assert first.problem_id == "94091c568b37a939"  # since the first version
    assert rejection([again]).reason == "duplicate_problem"


def same_gold(one: str, kind: str, other: str, other_kind: str) -> bool:
    """As the run has it (infra/runs/intake.py), without the worker's limits."""
    pairs = ((one, kind, other), (other, other_kind, one))
    return all(
        answers.grade(f"<answer>{b}</answer>", answer=a, answer_type=t, truncated=False).verdict
        == "correct"
        for a, t, b in pairs
    )


@pytest.mark.parametrize(
    ("first", "other", "is_same"),
    [
        ("1/2", "0.5", True),
        ("1/2", r"\frac12", True),
        ("7.0", "7", True),
        ("(A)", "A", True),
        ("x=5", "5", True),
        ("50%", "0.5", True),
        (r"\sqrt{8}", r"2\sqrt2", True),
        ("5 cm", "5", True),
        ("{1, 2}", "{2, 1}", True),
        ("Yes", "yes.", True),
        ("3", "4", False),
        ("12", r"12\sqrt3", False),
        ("5", "x>5", False),
        ("3", "3, 4", False),
        ("A", "B", False),
        ("1/2", "0.25", False),
        ("x" * 500, "y" * 500, False),
    ],
)
def test_golds_that_the_verifier_calls_equal_are_no_conflict(
    tmp_path: Path, first: str, other: str, is_same: bool
) -> None:
    rows = [{"question": "Q?", "answer": a, "code": f"by {a}"} for a in (first, other)]
    path = write_rows(tmp_path, [*rows, rows[0]])
    one, two, three = read_problems(path, SourceConfig(), same_gold=same_gold)
    assert isinstance(one, IngestedProblem)
    assert rejection([three]).reason == "duplicate_problem"
    if is_same:
        assert isinstance(two, IngestedProblem)
        assert (two.is_new, two.problem_id) == (False, one.problem_id)
        assert [(c.candidate, c.text) for c in two.candidates] == [(1, f"by {other}")]
    else:
        assert rejection([two]).reason == "conflicting_answer"


def test_the_verifier_is_asked_only_about_golds_that_share_a_question(tmp_path: Path) -> None:
    asked: list[str] = []

    def count(one: str, kind: str, other: str, other_kind: str) -> bool:
        asked.append(f"{one} {other}")
        return False

    rows = [{"question": f"Q{n % 50}?", "answer": f"{n}"} for n in range(60)]
    list(read_problems(write_rows(tmp_path, [*rows, *rows[:50]]), SourceConfig(), same_gold=count))
    assert asked == [f"{n} {n + 50}" for n in range(10)]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"question": ("body", "ask")}, ("3 pens.\nHow many?", "7", "integer", None)),
        ({"question": "ask", "answer": ("x", "y")}, ("How many?", "3, 4", "math", None)),
        ({"question": "ask", "subject": ("a", "b")}, ("How many?", "7", "integer", "sums, hard")),
        ({"question": "ask", "answer_type": ("no", "t")}, ("How many?", "7", "text", None)),
    ],
)
def test_every_column_may_be_several(
    tmp_path: Path, columns: dict[str, Any], expected: tuple[object, ...]
) -> None:
    row = {"body": "3 pens.", "ask": "How many?", "answer": "7", "x": 3, "y": "so\n#### 4",
           "a": "sums", "b": "hard", "t": "text", "no": None}  # fmt: skip
    found = problem(ingest(write_rows(tmp_path, [row]), columns=ColumnMapping(**columns))).problem
    assert (found.question, found.answer, found.answer_type, found.subject) == expected


@given(st.text())
def test_normalise_is_idempotent(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


def test_lookup_goes_into_objects_and_lists() -> None:
    row: dict[str, Any] = {"a": {"b": 1}, "a.c": 2, "d": [{"e": 3}, {"e": 4}, 5], "n": None}
    assert lookup(row, "a.b") == 1
    assert lookup(row, "a.c") == 2
    assert lookup(row, "d.e")[:2] == [3, 4]  # type: ignore[index]
    assert lookup(row, "n") is None
    assert to_text(lookup(row, "a.x.y")) is None
    assert align(row, ("d",), (3,)) == row["d"]


def test_read_flag() -> None:
    values: dict[bool, list[Any]] = {
        True: [True, 1, 1.0, "True", " yes", "correct"],
        False: [False, 0, 0.0, "FALSE", "no", "wrong"],
    }
    for flag, spellings in values.items():
        assert [read_flag(value) for value in spellings] == [flag] * len(spellings)
    unreadable: list[Any] = [None, 2, 0.5, float("nan"), "maybe", []]
    assert [read_flag(value) for value in unreadable] == [None] * len(unreadable)


def test_importing_ingest_loads_nothing_heavy() -> None:
    code = (
        "import sys, tasks.intake.problems; heavy = {'ray', 'torch', 'prefect', 'vllm', 'datasets',"
        " 'pyarrow'}; print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
CELLS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.text(max_size=3), inner, max_size=2), max_leaves=5)  # fmt: skip
ROWS = st.lists(
    CELLS
    | st.fixed_dictionaries(
        {"question": st.sampled_from(["Q1", "Q 1", "Q  1", "\ud800"]) | CELLS, "answer": CELLS},
        optional={"code": CELLS, "score": CELLS, "model": CELLS, "answer_type": CELLS},
    ),
    max_size=12,
)
COLUMNS = ColumnMapping(
    question="question", answer="answer", candidates=("code",), correct=("score",)
)


@settings(max_examples=150, deadline=None)
@given(rows=ROWS, broken=st.lists(st.binary(max_size=20), max_size=3))
def test_every_row_comes_out_once_in_order(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], broken: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    last = {"question": "last", "answer": 1, "code": ["x", "y"], "score": [1, 0]}
    lines = [json.dumps(row).encode() for row in [*rows, last]]
    bad = [b"{" + line.replace(b"\n", b"") for line in broken]
    path.write_bytes(b"\n".join([*bad, *lines]))
    items = ingest(path, columns=COLUMNS)
    assert len(items) == len(lines) + len(bad)
    seen: dict[str, str] = {}
    for number, item in enumerate(items, start=1):
        if isinstance(item, Rejection):
            assert item.record_id == content_id("rows.jsonl", number)
            assert item.reason == item.reason.lower()
        else:
            assert item.problem.line == number
            check_accepted(item, seen)


def check_accepted(item: IngestedProblem, seen: dict[str, str]) -> None:
    found = item.problem
    said = wording(found.question)
    assert (said in seen) is not item.is_new
    assert seen.setdefault(said, found.answer) == found.answer
    assert found.question == as_it_came(found.question)
    found.question.encode()
    found.answer.encode()
    assert all(c.problem_id == found.content_id("") for c in item.candidates)
    assert all(c.text.strip() for c in item.candidates)


def test_questions_of_a_set_need_no_gold_answer(tmp_path: Path) -> None:
    rows = [{"id": 1, "problem": "Q1?"}, {"id": 2}, {"id": 3, "problem": " Q3? "}, [4]]
    path = write_rows(tmp_path, rows, name="hidden.jsonl")
    assert list(read_questions([path])) == [("hidden.jsonl:1", "Q1?"), ("hidden.jsonl:3", "Q3?")]


def test_questions_of_a_set_are_read_where_two_columns_could_be_the_answer(tmp_path: Path) -> None:
    path = write_rows(tmp_path, [{"answer": "1/2", "gt": "0.5", "question": "Half?"}])
    assert [question for _, question in read_questions([path])] == ["Half?"]


TURN = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "odd"]) | CELLS,
                              "content": CELLS})  # fmt: skip
ODD_ROWS = st.lists(
    st.fixed_dictionaries(
        {"answer": CELLS | st.sampled_from(["A", "b", 0, 1, "7"])},
        optional={
            "question": CELLS, "options": CELLS | st.lists(st.text(max_size=3), max_size=4),
            "messages": CELLS | st.lists(TURN, max_size=3), "A": CELLS, "B": CELLS,
            "choices": st.fixed_dictionaries({"text": CELLS, "label": CELLS}),
            "responses": CELLS | st.lists(st.fixed_dictionaries({"text": CELLS}), max_size=2),
        },
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(rows=ODD_ROWS)
def test_whatever_columns_hold_a_row_comes_out_or_a_line_says_why_not(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    path = write_rows(tmp_path_factory.mktemp("rows"), rows)
    items: list[IngestedProblem | Rejection] = []
    said = ""
    try:
        items.extend(read_problems(path, SourceConfig(), same_gold=same_gold))
    except IngestError as error:
        said = str(error)
    assert "\n" not in said
    assert said or len(items) == len(rows)
