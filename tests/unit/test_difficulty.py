"""Difficulty: the teacher's word, the measured signals, and how they are blended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.recipes.loading import load_recipe
from flows.recipes.plan import draft_plan
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
        "num_tokens": 6, "length_quantile": 0.75, "num_wrong": 1, "num_graded": 4,
        "subject_error_rate": 0.5,
    }  # fmt: skip
    one = DifficultyRecord(**{**known, **(record or {})})
    chat = ScriptedChat([] if reply is None else [reply], name="judge")
    config = DifficultyConfig.model_validate(settings)
    (row,) = asyncio.run(
        grade_difficulty(one, ports(chat={"teacher": chat}, prompts=config.prompt), config)
    )
    return row


def test_signals_by_hand() -> None:
    row = run("Reason: two ideas.\nDifficulty: hard")
    measured = 0.2 * 0.5 + 0.4 * 0.75 + 0.4 * 0.25
    assert (row.type_score, row.step_score, row.error_rate) == (0.5, 0.75, 0.25)
    assert (row.num_steps, row.num_tokens, row.num_wrong, row.num_graded) == (2, 6, 1, 4)
    assert row.measured == pytest.approx(measured)
    assert row.difficulty == pytest.approx(0.5 * 1.0 + 0.5 * measured)
    assert (row.teacher_level, row.teacher_reason) == ("hard", "two ideas.")
    assert (row.thresholds, row.medium_from, row.hard_from) == ("fixed", 1 / 3, 2 / 3)
    assert (row.level, row.model) == ("hard", "judge")
    assert (row.num_requests, row.prompt_tokens, row.completion_tokens) == (1, 10, 5)


def test_steps_may_be_counted_instead_of_measured_by_length() -> None:
    assert run(None, signal="measured", num_steps_hard=8).step_score == 0.25
    assert run(None, signal="measured", num_steps_hard=1).step_score == 1.0


def test_quantiles_are_read_later_among_the_shards_problems() -> None:
    row = run("hard", thresholds="quantile", medium_from=0.5, hard_from=0.9)
    assert row.level is None
    assert (row.thresholds, row.medium_from, row.hard_from) == ("quantile", 0.5, 0.9)


def test_teacher_alone() -> None:
    row = run("easy", signal="teacher")
    assert (row.difficulty, row.level) == (0.0, "easy")


def test_measured_asks_nobody() -> None:
    row = run(None, signal="measured")
    assert (row.teacher_level, row.model, row.num_requests) == (None, None, 0)


@pytest.mark.parametrize("signal", ["teacher", "blended"])
def test_without_a_readable_verdict_the_measured_score_stands(signal: str) -> None:
    assert run("no idea", signal=signal).difficulty == run(None, signal="measured").difficulty


def test_what_nothing_measures_is_left_out() -> None:
    unanswered = {"rationale": None, "num_tokens": None, "length_quantile": None, "num_wrong": 0,
                  "num_graded": 0}  # fmt: skip
    row = run(None, signal="measured", record=unanswered)
    assert (row.error_rate, row.step_score, row.num_steps) == (None, None, None)
    assert row.measured == pytest.approx(0.5)  # the type's alone
    row = run(None, signal="measured", record={**unanswered, "subject_error_rate": None})
    assert (row.measured, row.level) == (0.5, "medium")  # nothing is known


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
known = st.none() | shares
configs = st.builds(
    DifficultyConfig,
    signal=st.sampled_from(["teacher", "measured", "blended"]),
    teacher_weight=shares,
    type_weight=shares,
    step_weight=st.floats(0.01, 1),
    error_weight=shares,
)


@given(known, known, known, st.none() | st.sampled_from(["easy", "medium", "hard"]), configs)
def test_the_score_stays_in_0_to_1(
    kind: float | None,
    step: float | None,
    error: float | None,
    teacher: Any,
    config: DifficultyConfig,
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


def fingerprints(*overrides: str) -> dict[str, str]:
    plan = draft_plan(load_recipe("nano", overrides=["difficulty.thresholds=quantile", *overrides]))
    return dict(plan.fingerprints)


def test_levels_by_quantile_depend_on_the_problems_and_their_shards() -> None:
    first = fingerprints("limit=160", "shard_size=80")
    for other in (
        fingerprints("limit=80", "shard_size=80"),
        fingerprints("limit=160", "shard_size=40"),
    ):
        same = {name for name, one in first.items() if other[name] == one}
        assert {"generate", "difficulty"} <= same  # the scores can be used again
        assert not {"rewrite", "compress", "score"} & same
    fixed = "difficulty.thresholds=fixed"
    one, two = fingerprints("limit=160", fixed), fingerprints("limit=80", fixed)
    assert one["rewrite"] == two["rewrite"]


def test_a_random_level_is_drawn_by_seed_and_problem_and_asks_nobody() -> None:
    rows = [
        run(None, signal="random", record={"problem_id": f"p{n}", "record_id": f"p{n}"})
        for n in range(300)
    ]
    assert [row.level for row in rows] == [
        run(None, signal="random", record={"problem_id": f"p{n}", "record_id": f"p{n}"}).level
        for n in range(300)
    ]
    counts = [sum(row.level == level for row in rows) for level in ("easy", "medium", "hard")]
    assert min(counts) > 70
    assert {row.measured for row in rows} == {rows[0].measured}
