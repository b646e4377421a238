"""Brought chains whose row says that they were cut off are graded, and taught, as such."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.intake.endings import read_endings
from tasks.intake.problems import IngestedProblem, read_problems
from tasks.verify import VerifyConfig, VerifyRecord, verify
from tests.fakes import AnswerGrader, ports

CHAIN = "3 + 4 = 7. The answer is 7."
TWO = [CHAIN, CHAIN + " But"]


def brought(path: Path) -> list[str | None]:
    """The finish reasons of the candidates of a file."""
    items = [item for item in read_problems(path) if isinstance(item, IngestedProblem)]
    return [one.finish_reason for item in items for one in item.candidates]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, [None, None]),
        ({"finish_reasons": ["stop", "length"]}, [None, "length"]),
        ({"finish_reasons": None, "is_reasoning_complete": [True, False]}, [None, "length"]),
        ({"is_reasoning_complete": [False, False], "finish_reasons": ["stop", "content_filter"]},
         ["length", "content_filter"]),
        ({"finish_reason": ["end_turn", "max_tokens"]}, [None, "length"]),
        ({"stop_reason": ["FinishReason.STOP", "FINISH_REASON_MAX_TOKENS"]}, [None, "length"]),
        ({"is_truncated": [0, 1]}, [None, "length"]),
        ({"finish_reasons": [None, "something else"]}, [None, "something_else"]),
        ({"finish_reasons": ["length"]}, [None, None]),  # does not line up
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_published_columns(
    tmp_path: Path, columns: dict[str, Any], expected: list[str | None], kind: str
) -> None:
    row = {"question": "3 + 4 = ?", "answer": "7", "generations": TWO, **columns}
    file = tmp_path / f"some.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist([row]), file)
    else:
        file.write_text(json.dumps(row))
    assert brought(file) == expected


def test_a_single_chain_and_nested_ones(tmp_path: Path) -> None:
    one = {"question": "3 + 4 = ?", "answer": "7", "response": CHAIN, "finish_reason": "length"}
    file = tmp_path / "one.jsonl"
    file.write_text(json.dumps(one))
    assert brought(file) == ["length"]
    fields = {
        "14b": {"solution": "a", "finish_reason": "stop"},
        "27b": {"solution": "b", "finish_reason": "length"},
    }
    found = read_endings(fields, ("14b.solution", "27b.solution"), count=2)
    assert found == (None, "length")


@given(
    st.dictionaries(
        st.sampled_from(["finish_reason", "stop_reasons", "is_reasoning_complete", "is_truncated"]),
        st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                     lambda inner: st.lists(inner, max_size=3), max_leaves=5),
    ),
    st.integers(0, 3),
)  # fmt: skip
def test_whatever_a_column_holds_there_is_one_a_candidate(row: dict[str, Any], count: int) -> None:
    found = read_endings(row, ("text",), count=count)
    assert len(found) == count
    assert all(one is None or 0 < len(one) <= 40 for one in found)


@pytest.mark.parametrize(
    ("said", "text", "verdict", "finish_reason"),
    [
        (None, CHAIN, "correct", "imported"),
        ("length", CHAIN, "correct", "length"),  # right, and never taught
        ("length", "3 + 4 = 7", "truncated", "length"),  # it may go on
    ],
)
def test_a_chain_cut_off_is_graded_as_one(
    said: str | None, text: str, verdict: str, finish_reason: str
) -> None:
    record = VerifyRecord(
        record_id="c", problem_id="p", answer="7", answer_type="integer", candidate=0, text=text,
        model=None, recorded_correct=None, finish_reason=said,
    )  # fmt: skip
    (row,) = asyncio.run(verify(record, ports(grader=AnswerGrader()), VerifyConfig()))
    assert (row.verdict, row.finish_reason) == (verdict, finish_reason)
