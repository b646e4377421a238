"""Measured difficulty against MATH-500's published levels, on what real models wrote.

The product's own path: ingest with recorded chains as candidates, verify, difficulty with no model
asked. No published level is read by it; none was used to set a weight. Run with -s for the table.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import correlation
from typing import Any

import pytest

from flows.recipes.loading import load_recipe
from flows.recipes.plan import run_plan
from infra.runs.intake import Intake, take_in
from infra.runs.run import Run
from infra.runs.runner import run_stage
from infra.settings import Settings
from tasks.difficulty import DifficultyConfig, measured_score
from tests.fakes import FakeModels, ScriptedChat
from tests.real_chains import MATH500, math500, read

RECIPE = """
name = "measured"
stages = ["verify", "difficulty"]
[models]
student.model = "nano:student"
teacher.model = "nano:teacher"
[difficulty]
signal = "measured"
"""
COMPONENTS = ("type_score", "step_score", "error_rate")
SHOWN = (*COMPONENTS, "num_steps", "num_tokens", "measured", "equal_weights")
NUM_PROBLEMS = 499  # one of the 500 brings no gold answer and is rejected at ingest
LEVEL_OF_RANDOM_CHAINS = 0.0877  # two-sided 5% point of Spearman's rho for 500 pairs


@dataclass(frozen=True)
class Case:
    """Whose chains are the history, and what the measured score must reach on them."""

    models: tuple[str, ...]
    at_least: float


CASES = [
    Case(tuple(MATH500), 0.5),
    Case(("14b",), 0.45),
    Case(("32b_short",), 0.45),
    Case(("27b_long",), 0.35),
]


def write_problems(file: Path, models: Sequence[str]) -> Path:
    subjects = {row["problem"].strip(): row["type"] for row in read("math500_test")}
    with file.open("w", encoding="utf-8") as lines:
        for problem in math500():
            row = {
                "question": problem.question,
                "answer": problem.answer,
                "subject": subjects[problem.question.strip()],
                "rationales": [problem.chains[model] for model in models],
            }
            lines.write(json.dumps(row) + "\n")
    return file


def graded(folder: Path, models: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of stg_difficulties, with their problems' lines, after a run over the chains."""
    (folder / "measured.toml").write_text(RECIPE)
    problems = str(write_problems(folder / "problems.jsonl", models))
    recipe = load_recipe(str(folder / "measured.toml"), problems=[problems])
    asked = FakeModels({"nano:teacher": ScriptedChat([])})  # whoever asks it fails
    run = Run(run_plan(recipe), corpus=folder / "corpus", settings=Settings(), models=asked)
    with run:
        take_in(run, Intake(problems=recipe.problems), lambda _: None)
        for stage in recipe.stages:
            asyncio.run(run_stage(run, stage, shard=0))
        query = "select d.*, p.line from stg_difficulties d join stg_problems p using (problem_id)"
        return run.database().run(query).records()


def ranks(values: Sequence[float]) -> list[float]:
    """From 1; equal values share the mean of their ranks."""
    ordered = sorted(values)
    first = {value: ordered.index(value) for value in set(values)}
    return [first[value] + (ordered.count(value) + 1) / 2 for value in values]


def spearman(some: Sequence[float], others: Sequence[float]) -> float:
    return correlation(ranks(some), ranks(others))


def spearman_known(some: Sequence[float | None], others: Sequence[float]) -> float:
    """Over the rows that have the component: an answer that could not be verified measures none."""
    known = [(a, b) for a, b in zip(some, others, strict=True) if a is not None]
    assert len(known) >= 0.98 * len(others)
    return spearman([a for a, _ in known], [b for _, b in known])


def correlations(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Spearman's rho with the published level, of each component and of what they come to."""
    levels = [math500()[row["line"] - 1].level for row in rows]
    equal = DifficultyConfig(type_weight=1, step_weight=1, error_weight=1)
    for row in rows:
        signals = {name: row[name] for name in COMPONENTS}
        row["equal_weights"] = measured_score(**signals, config=equal)
    return {name: spearman_known([row[name] for row in rows], levels) for name in SHOWN}


def test_spearman_shares_ranks_among_equals() -> None:
    assert ranks([3, 1, 3, 2]) == [3.5, 1, 3.5, 2]
    assert spearman([1, 2, 3, 4], [1, 4, 9, 16]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "+".join(case.models))
def test_the_measured_score_agrees_with_the_published_level(case: Case, tmp_path: Path) -> None:
    rows = graded(tmp_path, case.models)
    assert len(rows) >= NUM_PROBLEMS
    assert all(row["num_graded"] <= len(case.models) for row in rows)
    assert {row["num_requests"] for row in rows} == {0}
    found = correlations(rows)
    print(f"\n{'+'.join(case.models)}: Spearman's rho with the published level")
    for name, rho in found.items():
        print(f"  {name:14s} {rho:6.3f}")
    assert found["measured"] >= case.at_least
    assert found["step_score"] > LEVEL_OF_RANDOM_CHAINS
    assert found["error_rate"] > LEVEL_OF_RANDOM_CHAINS
