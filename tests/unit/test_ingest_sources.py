"""Ingest file by file: kinds of files, what is wrong with a whole file, and guessed columns."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tasks.intake.problems import (
    ColumnMapping,
    IngestedProblem,
    IngestError,
    Resolved,
    SourceConfig,
    file_sha,
    read_problems,
    resolve_sources,
)
from tasks.intake.readers import read_hub, read_rows
from tasks.intake.sources import BadRow, Source, SourceRow, find_sources, parse_hub_id
from tasks.schemas import Rejection

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
ROWS = [{"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(3)]
LINE = b'{"question": "Q?", "answer": "7"}\n'


def outcomes(path: Path, **config: Any) -> list[str]:
    """Questions of problems and reasons of rejections, in order."""
    return [
        item.problem.question if isinstance(item, IngestedProblem) else item.reason
        for item in read_problems(path, SourceConfig(**config))
    ]


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def csv_text(rows: list[dict[str, Any]], delimiter: str = ",") -> bytes:
    return "\n".join(
        ["question,answer".replace(",", delimiter)]
        + [f"{row['question']}{delimiter}{row['answer']}" for row in rows]
    ).encode()


def write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    return path


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", jsonl(ROWS)),
        ("a.ndjson", jsonl(ROWS).replace(b"\n", b"\r\n\r\n")),
        ("a.JSONL", b"\xef\xbb\xbf" + jsonl(ROWS).strip()),
        ("a.json", json.dumps(ROWS).encode()),
        ("b.json", b" \n" + json.dumps(ROWS, indent=2).encode() + b"\n"),
        ("c.json", jsonl(ROWS)),
        ("a.csv", csv_text(ROWS)),
        ("b.csv", b"\xef\xbb\xbf" + csv_text(ROWS, ";").replace(b"\n", b"\r\n")),
        ("a.tsv", csv_text(ROWS, "\t")),
        ("a.jsonl.gz", gzip.compress(b"\xef\xbb\xbf" + jsonl(ROWS), mtime=0)),
        ("a.json.gz", gzip.compress(json.dumps(ROWS).encode(), mtime=0)),
        ("a.csv.gz", gzip.compress(csv_text(ROWS), mtime=0)),
    ],
)
def test_every_kind_of_file_gives_the_same_problems(tmp_path: Path, name: str, data: bytes) -> None:
    assert outcomes(write(tmp_path, name, data)) == [row["question"] for row in ROWS]


def test_parquet_nested_null_and_typed_columns(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"q": {"text": "Q1"}, "a": 1.0, "c": ["x", None], "unused": None},
        {"q": {"text": "Q2"}, "a": None, "c": None, "unused": None},
        {"q": None, "a": 2.5, "c": [], "unused": None},
    ]
    columns = ColumnMapping(question="q.text", answer="a", candidates=("c",))
    items = list(
        read_problems(write_parquet(tmp_path / "a.parquet", rows), SourceConfig(columns=columns))
    )
    first, second, third = items
    assert isinstance(first, IngestedProblem)
    assert (first.problem.question, first.problem.answer) == ("Q1", "1")
    assert [c.text for c in first.candidates] == ["x"]
    assert isinstance(second, Rejection)
    assert isinstance(third, Rejection)
    assert (second.reason, third.reason) == ("missing_answer", "empty_question")


def test_parquet_with_invalid_utf8_rejects_that_row_only(tmp_path: Path) -> None:
    raw = pa.array([b"Q1", b"\xff\xfe", b"Q3"])
    table = pa.table({"question": raw.cast(pa.string(), safe=False), "answer": ["1", "2", "3"]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert outcomes(tmp_path / "a.parquet") == ["Q1", "invalid_utf8", "Q3"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"question": "Q2", \n', "broken_json"),
        (b"not json\n", "broken_json"),
        (b"[" * 100_000 + b"\n", "broken_json"),
        (b'{"answer": ' + b"1" * 5000 + b"}\n", "broken_json"),
        (b'["Q", "A"]\n', "not_an_object"),
        (b'{"question": "\xff"}\n', "invalid_utf8"),
        (b'{"question": "' + b"x" * 10_000_000 + b'"}\n', "line_too_long"),
    ],
)
def test_a_bad_line_is_named_and_the_others_go_on(tmp_path: Path, bad: bytes, reason: str) -> None:
    path = write(tmp_path, "a.jsonl", LINE + b"\n" + bad + LINE.replace(b"Q?", b"R?"))
    first, second, third = read_problems(path)
    assert isinstance(first, IngestedProblem)
    assert isinstance(second, Rejection)
    assert isinstance(third, IngestedProblem)
    assert second.reason == reason
    assert second.detail.startswith("a.jsonl:3: ")
    assert third.problem.line == 4


def test_raw_nul_bytes_are_removed_with_a_warning(tmp_path: Path) -> None:
    (item,) = read_problems(write(tmp_path, "a.jsonl", LINE.replace(b"Q?", b"Q\0?")))
    assert isinstance(item, IngestedProblem)
    assert (item.problem.question, item.warnings) == ("Q?", ("nul_removed",))


def test_a_line_at_the_limit_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", LINE.rstrip() + b"\r\n" + LINE.replace(b"Q", b"QR") + LINE)
    limit = len(LINE) - 1
    assert outcomes(path, max_line_bytes=limit) == ["Q?", "line_too_long", "duplicate_problem"]


def test_a_long_line_is_never_held_whole(tmp_path: Path) -> None:
    long = b'{"question": "' + b"x" * 30_000_000 + b'"}'
    jsonl_path = write(tmp_path, "a.jsonl", long + b"\n" + LINE)
    json_path = write(tmp_path, "a.json", b"[" + long + b", " + LINE + b"]")
    del long
    for source in find_sources([jsonl_path, json_path]):
        tracemalloc.start()
        first, second = read_rows(source, max_line_bytes=1_000_000)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert isinstance(first, BadRow)
        assert first.reason == "line_too_long"
        assert isinstance(second, SourceRow)
        assert peak < 8_000_000


def test_items_of_a_json_list_fail_one_by_one(tmp_path: Path) -> None:
    text = rb'[{"question": "a \"]}, \\", "answer": 1}, 5, {"question" "b"}, [[]], "x,]", ' + LINE
    path = write(tmp_path, "a.json", text + b"]")
    assert outcomes(path) == [
        'a "]}, \\', "not_an_object", "broken_json", "not_an_object", "not_an_object", "Q?"
    ]  # fmt: skip
    unclosed = write(tmp_path, "b.json", b"[" + LINE + b', {"question": "c')
    assert outcomes(unclosed) == ["Q?", "broken_json"]


def test_escapes_split_across_chunks_of_a_json_list(tmp_path: Path) -> None:
    for size in range(65_500, 65_550):
        question = "x" * size + '\\" ] } "'
        path = write(tmp_path, "a.json", json.dumps([{"question": question, "answer": 1}]).encode())
        assert outcomes(path) == [question]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"a,b,c\n", "too_many_fields"),
        (b"only a question\n", "missing_answer"),
        (b'"unclosed" x,7\n', "broken_csv"),
        (b"\xff,7\n", "invalid_utf8"),
        (b"x" * 10_000_000 + b",7\n", "line_too_long"),
        (b'"' + b'x ""\n' * 30_000 + b'",7\n', "line_too_long"),
    ],
)
def test_a_bad_csv_row_is_rejected_and_the_others_go_on(
    tmp_path: Path, bad: bytes, reason: str
) -> None:
    path = write(tmp_path, "a.csv", b"question,answer\nQ1,1\n" + bad + b"Q2,2\n")
    items = list(read_problems(path, SourceConfig(max_line_bytes=100_000)))
    assert isinstance(items[1], Rejection)
    assert items[1].reason == reason
    assert items[1].detail.startswith("a.csv:3: ")
    assert isinstance(items[-1], IngestedProblem)
    assert items[-1].problem.question == "Q2"


def test_a_quote_left_open_is_one_rejection_that_names_the_lines_lost(tmp_path: Path) -> None:
    data = b'question,answer\nQ1,1\n"Q2,2\nQ3,3\nQ4,4\n'
    _, lost = read_problems(write(tmp_path, "a.csv", data))
    assert isinstance(lost, Rejection)
    assert lost.detail == "a.csv:3: broken CSV: unexpected end of data (lines 3 to 5)"


def test_csv_fields_may_hold_line_breaks_and_nuls(tmp_path: Path) -> None:
    data = b'question,answer\n"two\nlines, ""quoted""",1\n\nQ\0,2\n'
    first, second = read_problems(write(tmp_path, "a.csv", data))
    assert isinstance(first, IngestedProblem)
    assert isinstance(second, IngestedProblem)
    assert (first.problem.question, first.problem.line) == ('two\nlines, "quoted"', 2)
    assert (second.problem.question, second.warnings) == ("Q", ("nul_removed",))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.jsonl", b"\n  \n", "no rows"),
        ("a.json", b"[]", "no rows"),
        ("a.csv", b"question,answer\n", "no rows"),
        ("a.jsonl", b"nonsense\n" * 3, r"no row is a usable problem \(3 broken_json\).*a.jsonl:1"),
        ("a.jsonl", b"\xff\xfe{\0", "UTF-16: convert it with iconv"),
        ("a.csv", "frage\xe4,answer\n".encode("latin-1"), "not UTF-8"),
        ("a.csv", b"question,question,answer\n1,2,3\n", "two columns named 'question'"),
        ("a.csv", b"\n1,2\n", "first line should name the columns"),
        ("a.parquet", b"PAR1 nonsense PAR1", "no readable Parquet"),
        ("a.jsonl.gz", b"not gzip", "cannot read"),
        ("a.jsonl.gz", gzip.compress(jsonl(ROWS) * 1000, mtime=0)[:-20], "cannot read"),
        ("a.xlsx", b"x", "unknown kind of file; readable are .jsonl"),
        ("a", b"x", "unknown kind of file"),
        ("a.jsonl", b'{"x": {"y": 1}, "answer": 2}', r"columns: x.y, answer; .*--question-column"),
        ("a.jsonl", b'{"question": "Q"}', r"columns: question; name it with --answer-column"),
    ],
)
def test_an_unusable_file_is_one_clear_line(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    with pytest.raises(IngestError, match=message) as raised:
        list(read_problems(write(tmp_path, name, data)))
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)


def test_empty_parquet_missing_file_directory_and_twice(tmp_path: Path) -> None:
    pq.write_table(pa.table({"question": pa.array([], pa.string())}), tmp_path / "a.parquet")
    good = write(tmp_path, "b.jsonl", LINE)
    for places, message in (
        (tmp_path / "a.parquet", "no rows"),
        (tmp_path / "no.jsonl", r"no such file: .*no.jsonl"),
        (tmp_path, r"is a directory: name the file to read, e.g. .*a.parquet"),
        ([good, tmp_path / ".." / tmp_path.name / "b.jsonl"], "given twice"),
        ([], "no input was named"),
        ("data/missing.jsonl", "no such file: data/missing.jsonl"),
        ("a/b/c", "no such file: a/b/c"),
    ):
        with pytest.raises(IngestError, match=message):
            read_problems(places)


def test_one_bad_input_stops_before_the_first_item(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="no such file"):
        read_problems([write(tmp_path, "b.jsonl", LINE), tmp_path / "no.jsonl"])


def resolve(folder: Path, row: dict[str, Any], **config: Any) -> Resolved:
    path = write(folder, "a.jsonl", jsonl([row]))
    (resolved,) = resolve_sources(path, SourceConfig(**config))
    return resolved


def test_columns_are_guessed_and_the_guess_is_reported(tmp_path: Path) -> None:
    row = {"Problem": "Q", "gold": "7", "responses": ["a"], "scores": [1], "topic": "t"}
    found = resolve(tmp_path, row)
    assert found.columns == ColumnMapping(
        question="Problem", answer="gold", candidates=("responses",), correct=("scores",),
        subject="topic",
    )  # fmt: skip
    assert set(found.guessed) == {"question", "answer", "candidates", "correct", "subject"}
    assert found.describe().startswith("a.jsonl: question=Problem (guessed); answer=gold (guessed)")
    given = resolve(tmp_path, row, columns=ColumnMapping(question="topic"), candidates="ignore")
    assert given.columns.question == "topic"
    assert given.columns.candidates == ()
    assert "question" not in given.guessed


def test_columns_that_agree_are_not_ambiguous(tmp_path: Path) -> None:
    row = {"problem": "Q", "question": " Q", "answer": "so\n#### 7", "gt": "7"}
    found = resolve(tmp_path, row)
    assert (found.columns.question, found.columns.answer) == ("question", "answer")


def test_rewards_are_not_taken_for_labels(tmp_path: Path) -> None:
    row = {"question": "Q", "answer": "7", "code": ["a", "b"], "score": [0.3, 1.0]}
    assert resolve(tmp_path, row).columns.correct == ()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "Q", "prompt": "R", "answer": 1}, r"both question and prompt.*--question-c"),
        ({"question": "Q", "answer": 1, "gt": 2}, r"both answer and gt .*--answer-column"),
        (
            {"question": "Q", "answer": 1, "solution": "a", "code": "b"},
            r"both solution and code .*--candidates-column",
        ),
        (
            {"question": "Q", "answer": 1, "code": "b", "correct": 1, "score": 0},
            r"both correct and score .*--correct-column",
        ),
        ({"Body": "B", "Question": "Q", "answer": 1}, "column Body may belong to the question"),
        ({"question": {"html": "Q"}, "answer": 1}, r"columns: question.html, answer"),
    ],
)
def test_ambiguous_columns_are_an_error_with_the_flag(
    tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(IngestError, match=message):
        resolve(tmp_path, row)


@pytest.mark.parametrize(
    ("columns", "flag"),
    [
        ({"question": "nope"}, "--question-column"),
        ({"answer": "nope"}, "--answer-column"),
        ({"subject": "nope"}, "--subject-column"),
        ({"answer_type": "nope"}, "--answer-type-column"),
        ({"candidates": ("nope",)}, "--candidates-column"),
        ({"correct": ("nope",)}, "--correct-column"),
        ({"candidate_model": ("nope",)}, "--candidate-model-column"),
        ({"candidates": ("question",), "correct": ("question", "answer")}, "--correct-column"),
    ],
)
def test_a_wrong_column_is_an_error_with_the_flag(
    tmp_path: Path, columns: dict[str, Any], flag: str
) -> None:
    with pytest.raises(IngestError, match=flag):
        resolve(tmp_path, ROWS[0], columns=ColumnMapping(**columns))


def test_candidates_may_be_required(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="no column that could be the candidates"):
        resolve(tmp_path, ROWS[0], candidates="require")


def test_configuration_is_frozen_and_closed() -> None:
    with pytest.raises(ValidationError):
        SourceConfig.model_validate({"colums": {}})
    with pytest.raises(ValidationError):
        ColumnMapping.model_validate({"queston": "q"})


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("org/name", ("org/name", None, "train")),
        ("org/name:test", ("org/name", None, "test")),
        ("org/name:main", ("org/name", "main", "train")),
        ("org/name:main:test[:10]", ("org/name", "main", "test[:10]")),
        ("org/name::dev", ("org/name", None, "dev")),
        ("org/name:train[:5%]", ("org/name", None, "train[:5%]")),
    ],
)
def test_parse_hub_id(text: str, parts: tuple[str, str | None, str]) -> None:
    assert parse_hub_id(text) == parts


def test_hub_rows_and_hub_errors() -> None:
    source = Source(location="org/name:main", name="org/name:main", kind="hub")

    def load(name: str, config: str | None, *, split: str) -> list[dict[str, Any]]:
        assert (name, config, split) == ("org/name", "main", "train")
        return ROWS

    assert [row.line for row in read_hub(source, load)] == [1, 2, 3]

    def fail(name: str, config: str | None, *, split: str) -> list[dict[str, Any]]:
        raise ConnectionError("no\nnetwork")

    with pytest.raises(IngestError, match=r"hub data set org/name .* could not be loaded: no net"):
        list(read_hub(source, fail))


def test_file_sha(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", LINE)
    assert file_sha(path) == hashlib.sha256(LINE).hexdigest()
    with pytest.raises(IngestError, match="cannot read"):
        file_sha(tmp_path / "no.jsonl")


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    return path


def read_shared(name: str, columns: ColumnMapping | None) -> list[IngestedProblem]:
    config = SourceConfig(columns=columns or ColumnMapping())
    items = list(read_problems(shared(name), config))
    return [item for item in items if isinstance(item, IngestedProblem)]


FOUR = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


@pytest.mark.parametrize(
    "columns",
    [
        None,
        ColumnMapping(
            question="question",
            answer="ground_truth",
            candidates=tuple(f"{name}.solution" for name in FOUR),
            correct=tuple(f"{name}.is_correct" for name in FOUR),
        ),
    ],
)
def test_gsm8k_with_four_candidate_columns(columns: ColumnMapping | None) -> None:
    items = read_shared("gsm8k_test_openai_4candidates.jsonl", columns)
    assert len(items) == 1319
    first = items[0]
    assert (first.problem.answer, first.problem.answer_type) == ("18", "integer")
    assert [c.model for c in first.candidates] == list(FOUR)
    assert [c.recorded_correct for c in first.candidates] == [False, False, False, True]
    assert all(len(item.candidates) == 4 for item in items)
    assert all(re.fullmatch(r"-?[\d,.]+", item.problem.answer) for item in items)


def test_date_understanding_with_a_list_of_candidates() -> None:
    columns = ColumnMapping(candidates=("model_outputs",), correct=("per_sample_correct",))
    for given in (None, columns):
        items = read_shared("date_understanding_chatgpt_10candidates.jsonl", given)
        assert items[0].problem.answer == "11/22/2002"
        assert len(items[0].candidates) == 10
        assert all(c.recorded_correct is not None for item in items for c in item.candidates)


def test_math100_needs_to_be_told_its_columns() -> None:
    name = "math100_qwen25math_8candidates.jsonl"
    with pytest.raises(IngestError, match=r"--(answer|candidates)-column"):
        read_shared(name, None)
    columns = ColumnMapping(answer="gt", candidates=("code",), correct=("score",))
    items = read_shared(name, columns)
    assert len(items) == 100
    assert all(len(item.candidates) == 8 for item in items)
    assert items[0].problem.answer == "420"


def test_gsm8k_train_without_candidates() -> None:
    items = read_shared("gsm8k_train.jsonl", None)
    assert len(items) > 7000
    assert items[0].problem.answer == "72"
    assert not any(item.candidates for item in items)
