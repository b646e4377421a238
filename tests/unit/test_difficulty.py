"""Difficulty: the teacher's word, the measured signals, and how they are blended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.difficulty import (
    DifficultyConfig,
    DifficultyRecord,
    blend,
    count_steps,
    grade_difficulty,
    level_of,
    measured_score,
    read_level,
)
from tasks.schemas import Difficulty
from tests.fakes import ScriptedChat, ports


def run(reply: str | None = "medium", *, record: Any = None, **settings: Any) -> Difficulty:
    known: dict[str, Any] = {
        "record_id": "p", "problem_id": "p", "question": "q", "rationale": "1) a\n2) b",
        "num_wrong": 1, "num_graded": 4, "subject_error_rate": 0.5,
    }  # fmt: skip
    one = DifficultyRecord(**{**known, **(record or {})})
    chat = ScriptedChat([] if reply is None else [reply], name="judge")
    config = DifficultyConfig.model_validate(settings)
    (row,) = asyncio.run(grade_difficulty(one, ports(chat={"teacher": chat}), config))
    return row


def test_signals_by_hand() -> None:
    row = run("hard", num_steps_hard=8)
    measured = 0.2 * 0.5 + 0.4 * 0.25 + 0.4 * 0.25
    assert (row.type_score, row.step_score, row.error_rate) == (0.5, 0.25, 0.25)
    assert row.difficulty == pytest.approx(0.5 * 1.0 + 0.5 * measured)
    assert (row.teacher_level, row.level, row.model) == ("hard", "medium", "judge")
    assert (row.num_requests, row.prompt_tokens, row.completion_tokens) == (1, 10, 1)


def test_teacher_alone() -> None:
    row = run("easy", signal="teacher")
    assert (row.difficulty, row.level) == (0.0, "easy")


def test_measured_asks_nobody() -> None:
    row = run(None, signal="measured")
    assert (row.teacher_level, row.model, row.num_requests) == (None, None, 0)


@pytest.mark.parametrize("signal", ["teacher", "blended"])
def test_without_a_readable_verdict_the_measured_score_stands(signal: str) -> None:
    assert run("no idea", signal=signal).difficulty == run(None, signal="measured").difficulty


def test_a_problem_nobody_answered() -> None:
    row = run("easy", record={"rationale": None, "num_wrong": 0, "num_graded": 0})
    assert (row.error_rate, row.step_score) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("easy", "easy"), ("**Hard**.", "hard"), ("not easy, so medium", "medium"),
        ("easily done", None), ("", None),
    ],
)  # fmt: skip
def test_the_last_level_counts(text: str, level: str | None) -> None:
    assert read_level(text) == level


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("1) a\n2) b\n3) c", 3), ("1. a\n1. a again\n2. b", 2), ("Step 1: a\nstep 2: b", 2),
        ("- a\n- b\n- c", 3), ("One. Two! Three?", 3), ("", 0), ("3.5 is a number", 0),
    ],
)  # fmt: skip
def test_counts_steps(text: str, steps: int) -> None:
    assert count_steps(text) == steps


shares = st.floats(0, 1)
configs = st.builds(
    DifficultyConfig,
    signal=st.sampled_from(["teacher", "measured", "blended"]),
    teacher_weight=shares,
    type_weight=shares,
    step_weight=st.floats(0.01, 1),
    error_weight=shares,
)


@given(shares, shares, shares, st.none() | st.sampled_from(["easy", "medium", "hard"]), configs)
def test_the_score_stays_in_0_to_1(
    kind: float, step: float, error: float, teacher: Any, config: DifficultyConfig
) -> None:
    measured = measured_score(type_score=kind, step_score=step, error_rate=error, config=config)
    score = blend(measured, teacher, config)
    assert -1e-9 <= score <= 1 + 1e-9


@given(shares, shares, configs)
def test_a_higher_score_is_never_an_easier_level(
    one: float, two: float, config: DifficultyConfig
) -> None:
    order = ["easy", "medium", "hard"]
    low, high = sorted([one, two])
    assert order.index(level_of(low, config)) <= order.index(level_of(high, config))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"type_weight": 0, "step_weight": 0, "error_weight": 0}, "must be above 0"),
        ({"medium_from": 0.9, "hard_from": 0.1}, "medium_from must not be above hard_from"),
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DifficultyConfig.model_validate(settings)
