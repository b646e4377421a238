"""Replies held to a schema: what is asked for, and what is read where a model ignores it."""

from __future__ import annotations

import asyncio
import json

import pytest

from tasks.difficulty import DifficultyConfig, DifficultyRecord, grade_difficulty, read_level
from tasks.rewrite import RewriteConfig, RewriteRecord, rewrite
from tasks.rewrite_faults import read_check
from tasks.structured import choice_schema, read_choice, read_reason
from tests.fakes import ScriptedChat, ports, words


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ('{"reason": "looks hard, is not", "level": "easy"}', "easy"),
        ('{"level": "medium", "reason": "not easy"}', "medium"),
        ('{"reason": "hard", "level": "impossible"}', None),  # not of the schema
        ('{"reason": "it is easy to see that', None),  # cut off before its choice
        ('{"reason": "$\\in$, so hard", "level": "Medium"}', "medium"),  # \\i is no escape
        ('```json\n{"reason": "hard?", "level": "easy"}\n```', "easy"),
        ("<think>hard, hard</think>\nReason: not easy\nDifficulty: medium", "medium"),
        ("it is hard\n</think>\n**Difficulty:** easy", "easy"),  # the template opened the thought
        ("<think>easy, I think", None),
        ("Difficulty: hard\nReason: no easy way", "hard"),
        ("[" * 5000, None),
        ('["easy"]', "easy"),
        ('{"level": ["easy"]}', "easy"),
        ("null", None),
    ],
)
def test_a_level_is_read_from_json_or_from_words(text: str, level: str | None) -> None:
    assert read_level(text) == level


@pytest.mark.parametrize(
    ("text", "is_accepted"),
    [
        ('{"reason": "flawed?", "logic": "sound", "completeness": "complete"}', True),
        ('{"logic": "flawed", "completeness": "complete", "reason": "logic: sound"}', False),
        ('{"logic": "sound", "completeness": "comp', False),  # cut off
    ],
)
def test_a_check_is_read_from_json(text: str, is_accepted: bool) -> None:
    assert (read_check(text) is None) is is_accepted


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"reason": "two\\nsteps", "level": "easy"}', "two steps"),
        ("**Reason:** two steps\nDifficulty: easy", "two steps"),
        ("Two steps. Easy.", "Two steps. Easy."),
        ("<think>long thought</think>easy", "easy"),
        ('{"reason": "cut of', ""),
        ("", ""),
    ],
)
def test_a_reason_is_one_line(text: str, reason: str) -> None:
    assert read_reason(text, max_chars=100) == reason


def test_the_reason_comes_before_the_choice() -> None:
    schema = json.loads(choice_schema("level", ["easy", "hard"]))
    assert list(schema["properties"]) == ["reason", "level"]
    assert schema["properties"]["level"]["enum"] == ["easy", "hard"]
    assert read_choice('{"reason": "", "level": "hard"}', "level", ["easy", "hard"]) == "hard"


@pytest.mark.parametrize("structured", [True, False])
def test_the_judge_is_held_to_a_schema_if_asked(structured: bool) -> None:
    judge = ScriptedChat(['{"reason": "not hard", "level": "easy"}'])
    record = DifficultyRecord(
        record_id="p", problem_id="p", question="q", rationale=None, num_tokens=None,
        length_quantile=None, num_wrong=0, num_graded=0, subject_error_rate=None,
    )  # fmt: skip
    config = DifficultyConfig(signal="teacher", structured=structured)
    asked = ports(chat={"teacher": judge}, prompts=config.prompt)
    (row,) = asyncio.run(grade_difficulty(record, asked, config))
    assert (row.teacher_level, row.teacher_reason) == ("easy", "not hard")
    assert ("JSON" in judge.asked[0][0].text) is structured
    assert (judge.asked[0][1].json_schema is not None) is structured


@pytest.mark.parametrize("structured", [True, False])
def test_the_check_is_held_to_a_schema_if_asked_and_the_rewrite_never(structured: bool) -> None:
    teacher = ScriptedChat(
        [words(5), '{"reason": "no step is flawed", "logic": "sound", "completeness": "complete"}']
    )
    record = RewriteRecord(
        record_id="r", problem_id="p", question="q", answer="4", answer_type="integer",
        level="hard", parent_id="r", parent_text=words(9), parent_model="m", parent_engine="e",
    )  # fmt: skip
    config = RewriteConfig(structured_check=structured)
    asked = ports(chat={"teacher": teacher}, prompts=config.prompt)
    (row,) = asyncio.run(rewrite(record, asked, config))
    assert getattr(row, "kind", None) == "rewritten"
    schemas = [sampling.json_schema for _, sampling in teacher.asked]
    assert schemas[0] is None
    assert (schemas[1] is not None) is structured
    assert ("JSON" in teacher.asked[1][0].text) is structured
