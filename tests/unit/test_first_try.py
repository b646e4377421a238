"""Where nano would read real rationales, a line names smollm2, the command and the time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.costs.first_try import notes_on_student, scored_tokens, trained_tokens
from flows.costs.observed import know_inputs
from flows.recipes.loading import load_recipe
from infra.engines import smollm2


@pytest.fixture
def traces(tmp_path: Path) -> str:
    rows = [
        {
            "question": f"What is {n} + 1?",
            "answer": str(n + 1),
            "candidates": ["x" * 300] * 4,
        }
        for n in range(50)
    ]
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_real_rationales_read_by_nano_get_the_command_and_the_time(traces: str) -> None:
    recipe = load_recipe("morsd", problems=[traces], overrides=['score.scorers=["rd", "ifd"]'])
    (note,) = notes_on_student(recipe)
    assert "nano:student has never seen such text" in note
    assert "--set models.student.model=smollm2" in note
    assert "scoring would take about 3 minutes on two cores" in note  # 150 x 200 tokens at 200


def test_a_rationale_is_read_with_and_without_its_question(traces: str) -> None:
    recipe = load_recipe(
        "morsd",
        problems=[traces],
        overrides=["estimate.share_correct=1", 'score.scorers=["rd", "ifd"]'],
    )
    question = know_inputs(recipe).question_characters or 0
    assert scored_tokens(recipe, know_inputs(recipe)) == pytest.approx(
        50 * (question + 4 * 300 * 2) / 3
    )
    fewer = load_recipe("morsd", problems=[traces], overrides=["limit=5"])
    assert (scored_tokens(fewer, know_inputs(fewer)) or 0) < 4000


def test_training_is_timed_where_it_is_a_stage(traces: str) -> None:
    stages = 'stages=["verify", "score", "select", "mix", "train"]'
    recipe = load_recipe("morsd", problems=[traces], overrides=[stages, "train.epochs=2"])
    (note,) = notes_on_student(recipe)
    assert "and training would take about" in note
    question = know_inputs(recipe).question_characters or 0
    examples = 0.3 * 50 * 4 * 0.75  # keep_fraction of what is right
    assert trained_tokens(recipe, know_inputs(recipe)) == pytest.approx(
        2 * examples * (question + 300) / 3
    )


def test_without_the_package_the_note_says_how_to_get_it(
    traces: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITECOT_CACHE", str(tmp_path))
    monkeypatch.setattr(smollm2, "PACKAGE", "llm-that-nobody-has")
    (note,) = notes_on_student(load_recipe("morsd", problems=[traces]))
    assert "(first: make smollm2, or: pip install" in note


def test_others_get_no_note(traces: str) -> None:
    chosen = load_recipe("morsd", problems=[traces], overrides=["models.student.model=smollm2"])
    assert not notes_on_student(chosen)
    assert not notes_on_student(load_recipe("nano"))
