"""Replies held to a schema: what is asked for, and what is read where a model ignores it."""

from __future__ import annotations

import asyncio
import json

import pytest

from tasks.difficulty import DifficultyConfig, DifficultyRecord, grade_difficulty, read_level
from tasks.rewrite import RewriteConfig, RewriteRecord, is_accepted, rewrite
from tasks.structured import choice_schema, read_choice
from tests.fakes import ScriptedChat, ports, words


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ('{"reason": "looks hard, is not", "level": "easy"}', "easy"),
        ('{"level": "medium", "reason": "not easy"}', "medium"),
        ('{"reason": "hard", "level": "impossible"}', "hard"),  # not of the schema: the last word
        ('{"reason": "it is easy to see that', "easy"),  # cut off
        ("[" * 5000, None),
        ('["easy"]', "easy"),
        ('{"level": ["easy"]}', "easy"),
        ("null", None),
    ],
)
def test_a_level_is_read_from_json_or_from_words(text: str, level: str | None) -> None:
    assert read_level(text) == level


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ('{"reason": "no step is invalid", "verdict": "valid"}', True),
        ('{"verdict": "invalid", "reason": "valid but for one step"}', False),
        ('{"verdict": "invalid", "reason": "valid', True),  # cut off: the last word stands
    ],
)
def test_a_verdict_is_read_from_json_or_from_words(text: str, accepted: bool) -> None:
    assert is_accepted(text) is accepted


def test_the_reason_comes_before_the_choice() -> None:
    schema = json.loads(choice_schema("level", ["easy", "hard"]))
    assert list(schema["properties"]) == ["reason", "level"]
    assert schema["properties"]["level"]["enum"] == ["easy", "hard"]
    assert read_choice('{"reason": "", "level": "hard"}', "level", ["easy", "hard"]) == "hard"


@pytest.mark.parametrize("structured", [True, False])
def test_the_judge_is_held_to_a_schema_if_asked(structured: bool) -> None:
    judge = ScriptedChat(['{"reason": "not hard", "level": "easy"}'])
    record = DifficultyRecord(
        record_id="p", problem_id="p", question="q", rationale=None, num_wrong=0, num_graded=0,
        subject_error_rate=0.0,
    )  # fmt: skip
    config = DifficultyConfig(signal="teacher", structured=structured)
    (row,) = asyncio.run(grade_difficulty(record, ports(chat={"teacher": judge}), config))
    assert row.teacher_level == "easy"
    assert (judge.asked[0][1].json_schema is not None) is structured


@pytest.mark.parametrize("structured", [True, False])
def test_the_check_is_held_to_a_schema_if_asked_and_the_rewrite_never(structured: bool) -> None:
    teacher = ScriptedChat([words(5), '{"reason": "no step is invalid", "verdict": "valid"}'])
    record = RewriteRecord(
        record_id="r", problem_id="p", question="q", answer="4", answer_type="integer",
        level="hard", parent_id="r", parent_text=words(9),
    )  # fmt: skip
    config = RewriteConfig(structured_check=structured)
    (row,) = asyncio.run(rewrite(record, ports(chat={"teacher": teacher}), config))
    assert getattr(row, "kind", None) == "rewritten"
    schemas = [sampling.json_schema for _, sampling in teacher.asked]
    assert schemas[0] is None
    assert (schemas[1] is not None) is structured
