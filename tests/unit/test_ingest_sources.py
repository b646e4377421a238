"""Ingest file by file: kinds of files, what is wrong with a whole file, and guessed columns."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
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
from tasks.intake.sources import BadRow, HubId, Source, SourceRow, find_sources, parse_hub_id
from tasks.schemas import Rejection

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
ROWS = [{"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(3)]
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614\nsize 12345\n"
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


def zstd(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


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
        ("a.jsonl.zst", zstd(jsonl(ROWS))),
        ("a.json.zst", zstd(b"\xef\xbb\xbf" + json.dumps(ROWS).encode())),
        ("a.csv.zst", zstd(csv_text(ROWS))),
        ("a.jsonl.bz2", bz2.compress(jsonl(ROWS))),
        ("a.jsonl.xz", lzma.compress(jsonl(ROWS))),
        ("packed.jsonl", gzip.compress(jsonl(ROWS), mtime=0)),  # whatever its name says
        ("packed.json", zstd(json.dumps(ROWS).encode())),
        ("list.jsonl", json.dumps(ROWS).encode()),
        ("list_2.jsonl", json.dumps(ROWS, indent=2).encode()),
        ("within.json", json.dumps({"data": ROWS}).encode()),
        ("within.jsonl", json.dumps({"data": ROWS}).encode()),
        (
            "within_2.json",
            json.dumps({"v": [{"data": [{}]}], "n": '"data": [{', "rows": ROWS}, indent=1).encode(),
        ),
        (
            "viewer.json",
            json.dumps(
                {
                    "features": [{"name": "q"}],
                    "rows": [{"row_idx": n, "row": row} for n, row in enumerate(ROWS)],
                }
            ).encode(),
        ),
        ("spread.json", "\n".join(json.dumps(row, indent=2) for row in ROWS).encode()),
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


QUESTIONS = [row["question"] for row in ROWS]
FAR = pa.array([2**62 // 1000] * 3, pa.timestamp("ms"))  # in the year 146 million
ZONE = pa.array([1, 2, 3], pa.timestamp("us", tz="Mars/Base"))


def columns_of_rows(**more: Any) -> pa.Table:
    return pa.table({
        "question": QUESTIONS, "answer": [row["answer"] for row in ROWS], **more
    })  # fmt: skip


@pytest.mark.parametrize(
    "odd",
    [
        FAR,
        ZONE,
        pa.array([2**30] * 3, pa.date32()),
        pa.array([1, 2, 3], pa.timestamp("ns")),
        pa.array([2**62] * 3, pa.duration("s")),
        pa.array([b"\xff", b"a", b"b"]).cast(pa.string(), safe=False),
        pa.array(["x", "y", "x"]).dictionary_encode(),
        pa.array([[("a", 1), ("a", 2)]] * 3, pa.map_(pa.string(), pa.int64())),
        pa.StructArray.from_arrays([FAR, ZONE], names=["far", "zone"]),
        pa.ListArray.from_arrays(pa.array([0, 1, 1, 3]), FAR),
        pa.UnionArray.from_dense(
            pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()),
            [pa.array([1, 2]), pa.array(["x"])],
        ),
    ],
    ids=lambda odd: str(odd.type)[:20],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_column_nobody_asked_for_spoils_nothing(tmp_path: Path, kind: str, odd: pa.Array) -> None:
    table, path = columns_of_rows(odd=odd), tmp_path / f"a.{kind}"
    if kind == "arrow":
        with pa.ipc.new_file(str(path), table.schema) as file:
            file.write_table(table)
    elif pa.types.is_union(odd.type):
        pytest.skip("Parquet has no unions")
    else:
        pq.write_table(table, path)
    assert outcomes(path) == QUESTIONS


def test_what_stands_beside_a_needed_value_in_an_object_spoils_nothing(tmp_path: Path) -> None:
    part = pa.StructArray.from_arrays([pa.array(QUESTIONS), FAR, ZONE], names=["text", "at", "z"])
    texts = pa.ListArray.from_arrays(pa.array([0, 1, 2, 3]), part)
    pq.write_table(columns_of_rows(q=part, responses=texts), tmp_path / "a.parquet")
    columns = ColumnMapping(question="q.text", candidates=("responses.text",))
    for given in (columns, ColumnMapping(question="q.text")):  # named, and guessed
        items = list(read_problems(tmp_path / "a.parquet", SourceConfig(columns=given)))
        texts_of = [c.text for i in items if isinstance(i, IngestedProblem) for c in i.candidates]
        assert texts_of == QUESTIONS
    needed = SourceConfig(columns=ColumnMapping(question="q.at"))
    with pytest.raises(IngestError, match=r"3 unreadable_value.*a value cannot be read"):
        list(read_problems(tmp_path / "a.parquet", needed))


def test_two_columns_of_one_name_matter_only_where_they_are_needed(tmp_path: Path) -> None:
    names = ["question", "note", "note", "answer"]
    arrays = [pa.array(QUESTIONS), pa.array([1] * 3), pa.array([2] * 3), pa.array([1] * 3)]
    table = pa.Table.from_arrays(arrays, names=names)
    pq.write_table(table, tmp_path / "a.parquet")
    text = "question,note,note,answer\n" + "".join(f"{q},1,2,1\n" for q in QUESTIONS)
    for path in (tmp_path / "a.parquet", write(tmp_path, "a.csv", text.encode())):
        assert outcomes(path) == QUESTIONS
        with pytest.raises(IngestError, match="two columns named 'note': rename one"):
            outcomes(path, columns=ColumnMapping(answer="note"))


def test_a_broken_column_is_named_where_it_is_needed_and_else_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(columns_of_rows(junk=["z" * 3000] * 3), path)
    group = pq.read_metadata(path).row_group(0)
    for number, expected in ((2, QUESTIONS), (0, "column question of .* cannot be read: ")):
        column, spoilt = group.column(number), bytearray(path.read_bytes())
        start = column.dictionary_page_offset or column.data_page_offset
        spoilt[start : start + 30] = bytes(30 * [0xFF])
        broken = write(tmp_path, "broken.parquet", bytes(spoilt))
        if isinstance(expected, list):
            assert outcomes(broken) == expected
        else:
            with pytest.raises(IngestError, match=expected):
                outcomes(broken)


def test_folders_of_save_to_disk_are_read_and_known_by_what_they_hold(tmp_path: Path) -> None:
    for split in ("train", "test"):
        folder = tmp_path / "both" / split
        folder.mkdir(parents=True)
        parts = [f"data-0000{n}-of-00002.arrow" for n in range(2)]
        for part, table in zip(parts, (columns_of_rows(), columns_of_rows()), strict=True):
            kept = table.slice(0, 2) if part == parts[0] else table.slice(2)
            with pa.ipc.new_stream(str(folder / part), kept.schema) as stream:
                stream.write_table(kept)
        state = {"_data_files": [{"filename": part} for part in parts]}
        (folder / "state.json").write_text(json.dumps(state))
    (tmp_path / "both" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    train, test = tmp_path / "both" / "train", tmp_path / "both" / "test"
    assert outcomes(train) == QUESTIONS
    assert file_sha(train) == file_sha(test) != file_sha(write(tmp_path, "a.jsonl", LINE))
    with pytest.raises(IngestError, match=r"both holds 2 splits: name one of .*train, .*test"):
        outcomes(tmp_path / "both")
    (train / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(IngestError, match=r"data-00001-of-00002.arrow is no readable Arrow file"):
        outcomes(train)


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
        ("a.jsonl.zst", b"not zstd", "cannot read"),
        ("a.jsonl.zst", zstd(jsonl(ROWS) * 9999)[:-20], "cannot read"),
        ("a.jsonl.xz", lzma.compress(jsonl(ROWS))[:-20], "cannot read"),
        ("a.jsonl", LFS, "is a Git LFS pointer, not the data: fetch it with git lfs pull"),
        ("a.parquet", LFS, "is a Git LFS pointer, not the data: fetch it with git lfs pull"),
        ("a.json", b"\n<!DOCTYPE HTML><html>", "is a web page"),
        ("a.jsonl", b"PK\x03\x04...", "is a ZIP archive: unpack it"),
        (
            "a.json",
            json.dumps({"train": ROWS, "test": ROWS}).encode(),
            r"holds several lists \(train, test\)",
        ),
        ("a.arrow", b"ARROW1 nonsense", "no readable Arrow file"),
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
    found = resolve(tmp_path, {**row, "answer": r"$\dfrac12$", "gt": r"\frac{1}{2}"})
    assert found.columns.answer == "answer"
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
    ("text", "config", "split", "revision"),
    [
        ("org/name", None, "train", None),
        ("org/name:test", None, "test", None),
        ("org/name:main", "main", "train", None),
        ("org/name:main:test[:10]", "main", "test[:10]", None),
        ("org/name::dev", None, "dev", None),
        ("org/name:train[:5%]", None, "train[:5%]", None),
        ("org/name@5e0bf1e:main:test", "main", "test", "5e0bf1e"),
        ("org/name@refs/pr/3", None, "train", "refs/pr/3"),
    ],
)
def test_parse_hub_id(text: str, config: str | None, split: str, revision: str | None) -> None:
    told = HubId(name="org/name", revision=revision, config=config, split=split)
    assert parse_hub_id(text) == told


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
