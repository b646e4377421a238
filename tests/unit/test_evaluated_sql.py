"""Metrics of evaluated models across runs, and the frontier: numbers by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sql.database import Database, connect
from tasks.schemas import Row, Run
from tests.unit import evaluated_corpus as corpus
from tests.unit.evaluated_corpus import IDS, answers

MODEL = corpus.trained()
TRAINED = MODEL.content_id("fp")
BASE = {0: "cccc", 1: "ccww", 2: "wwnw", 3: "--w-"}
# Shorter and as accurate, with <compress> shorter still and less accurate.
STUDENT = {0: "cccc", 1: "cccc", 2: "wwww", 3: "nnnn"}
COMPRESSED = {0: "cccc", 1: "wwww", 2: "wwww", 3: "nnnn"}


def rows() -> list[Row]:
    return [
        *corpus.grades(), MODEL,
        *answers("base", BASE, tokens=50),
        *answers(TRAINED, STUDENT, tokens=30, role="trained"),
        *answers(TRAINED, COMPRESSED, tokens=5, role="trained", compress=True),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return connect(corpus.write(tmp_path_factory.mktemp("evaluated") / "c", rows()))


def found(database: Database, query: str) -> list[dict[str, Any]]:
    return database.run(query).records()


def test_metrics_by_hand(database: Database) -> None:
    (row,) = found(database, "from evaluations_by_level where model_id = 'base' and level = 'all'")
    assert (row["num_questions"], row["num_families"], row["num_samples"]) == (4, 3, 4)
    assert row["num_answers"] == 16
    assert row["accuracy"] == (1 + 0.5 + 0 + 0) / 4
    assert row["pass_at_k"] == (1 + 1 + 0 + 0) / 4  # k = 4: any of the four
    assert row["maj_at_k"] == (1 + 0.5 + 0 + 0) / 4  # two sevens tie with two correct ones
    assert (row["mean_tokens"], row["median_tokens"], row["p95_tokens"]) == (51.5, 51, 53)
    assert row["tokens_per_correct"] == pytest.approx(51.5 / 0.375, abs=0.01)
    assert row["share_cut_off"] == 3 / 16
    assert row["mean_seconds"] == 0.5


def test_levels_have_their_own_rows(database: Database) -> None:
    levels = found(
        database,
        "select level, num_questions, accuracy from evaluations_by_level where model_id = 'base'",
    )
    assert [tuple(row.values()) for row in levels] == [
        ("all", 4, 0.375), ("easy", 2, 0.75), ("hard", 1, 0.0), ("ungraded", 1, 0.0),
    ]  # fmt: skip


def test_a_benchmark_without_levels_is_not_called_ungraded(tmp_path: Path) -> None:
    database = connect(corpus.write(tmp_path / "c", answers("base", BASE)))
    assert database.run("select distinct level from evaluations_by_level").rows == [("all",)]


@pytest.mark.parametrize(
    ("subject", "level"),
    [
        ("Level 5", "5"), ("Algebra, 3", "3"), ("Hard", "hard"), ("2", "2"),
        ("Algebra", None), ("geometry 2", None), ("1999", None), (None, None),
    ],
)  # fmt: skip
def test_a_subject_that_names_a_level_last_is_one(
    tmp_path: Path, subject: str | None, level: str | None
) -> None:
    """MATH's own levels come as the subject's column, behind the topic."""
    problem = replace(corpus.PROBLEMS[0], question="What is 7?", subject=subject)
    (row,) = answers("base", {0: "c"})
    rows = [problem, replace(row, problem_id=problem.content_id())]  # type: ignore[type-var]
    database = connect(corpus.write(tmp_path / "c", rows))
    assert database.run("select level from evaluated_questions").rows == [(level,)]


@pytest.mark.parametrize(
    ("spelt", "expected"),
    [
        ("cwww", 1 - 3 / 4 * 2 / 3),  # k = 2 of n = 4, one correct: 1 - C(3, 2) / C(4, 2)
        ("ccww", 1 - 2 / 4 * 1 / 3),
        ("cccw", 1.0),
        ("wwww", 0.0),
    ],
)
def test_pass_at_k_is_the_unbiased_one(tmp_path: Path, spelt: str, expected: float) -> None:
    """k is what every question has: here two samples."""
    two = answers("base", {0: spelt, 1: "ww"})
    database = connect(corpus.write(tmp_path / "c", two))
    (row,) = database.run("select num_samples, pass_at_k from evaluations_by_level").rows
    assert row == (2, pytest.approx(expected / 2, abs=1e-6))


def test_the_answer_most_samples_give_is_the_majority(tmp_path: Path) -> None:
    """Correct answers written in several ways are one; an answer not found has no vote."""
    spelt = answers("base", {0: "ccwnn"})
    spelt[0] = replace(spelt[0], extracted_answer="1.0")  # type: ignore[type-var]
    database = connect(corpus.write(tmp_path / "c", [*spelt, *answers("base", {1: "nnn-c"})]))
    rows = dict(database.run("select problem_id, majority from evaluated_questions").rows)
    assert rows == {IDS[0]: 1.0, IDS[1]: 1.0}


def test_frontier_by_hand(database: Database) -> None:
    rows = database.run(
        "select model_id, compress, accuracy, mean_tokens, is_on_frontier, dominated_by,"
        " dominated_by_compress, num_compared from frontier"
    ).rows
    assert rows == [
        (TRAINED, True, 0.25, 6.5, True, None, None, 3),
        (TRAINED, False, 0.5, 31.5, True, None, None, 3),
        ("base", False, 0.375, 51.5, False, TRAINED, False, 3),
    ]
    assert database.run("select distinct base from frontier where role = 'trained'").rows == [
        ("base",)
    ]


def test_of_equals_neither_dominates(tmp_path: Path) -> None:
    twins = [*answers("a", BASE), *answers("b", BASE)]
    database = connect(corpus.write(tmp_path / "c", twins))
    rows = database.run("select model_id, is_on_frontier, num_compared from frontier").rows
    assert rows == [("a", True, 2), ("b", True, 2)]


@pytest.mark.parametrize(
    "worse",
    [
        answers("long", {0: "cccc", 1: "wwww"}, tokens=90),  # fewer questions
        answers("long", BASE, tokens=90, settings='{"temperature": 0}'),
        answers("long", BASE, tokens=90, benchmark="others"),
    ],
    ids=["questions", "settings", "benchmark"],
)
def test_only_equals_are_compared(tmp_path: Path, worse: list[Row]) -> None:
    database = connect(corpus.write(tmp_path / "c", [*answers("base", BASE), *worse]))
    rows = database.run("select is_on_frontier, num_compared from frontier").rows
    assert rows == [(True, 1), (True, 1)]


def test_runs_that_asked_the_same_count_once(tmp_path: Path) -> None:
    """Another stage of another run, the same settings: the answer that was there first."""
    corpus.write(tmp_path / "c", answers("base", {0: "c"}))
    again = answers("base", {0: "w"}, tokens=99)
    parts = corpus.write(tmp_path / "c", again, run=corpus.LATER, stage="fp-later")
    database = connect(parts)
    rows = database.run("select correct, num_tokens, run_id from evaluated_answers").rows
    assert rows == [(True, 10, corpus.RUN.content_id())]
    other = answers("base", {0: "w"}, settings='{"max_tokens": 7}')
    database = connect(corpus.write(tmp_path / "c", other, run=corpus.LATER, stage="fp-other"))
    assert len(database.rows_of("evaluated_answers").rows) == 2


def evaluated_by(**evaluate: Any) -> Run:
    asked = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 9, "prompt": "nano", "problems": ["x"]}
    settings = json.dumps({"evaluate": {**asked, **evaluate}})
    return Run(
        recipe="sums", resolved=settings, fingerprints="{}", versions="{}", settings=settings
    )


def test_answers_of_earlier_versions_have_the_settings_of_their_run(tmp_path: Path) -> None:
    """How many samples and which questions decide no answer; the temperature does."""
    runs = {
        "a": evaluated_by(num_samples=1, limit=5),
        "b": evaluated_by(num_samples=2),
        "c": evaluated_by(temperature=1.0),
    }
    for name, run in runs.items():
        parts = corpus.write(
            tmp_path / "c", answers(name, {0: "c"}, settings=None), run=run, stage=name
        )
    rows = dict(connect(parts).run("select model_id, settings from evaluated_answers").rows)
    assert rows["a"] == rows["b"] != rows["c"]
    assert json.loads(rows["a"]) == {
        "max_tokens": 9, "prompt": "nano", "temperature": 0.0, "top_p": 1.0,
    }  # fmt: skip
