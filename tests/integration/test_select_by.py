"""`select.by` on real candidates: eight chains of a real model for each of some MATH problems.

Scored once by the nano student through the real engine (it knows no such mathematics, so what it
finds helpful means nothing), then selected by each scorer and by a blend; what is kept is compared
with tests/selection_reference.py, made from the stored rows of `scores`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flows.recipes.loading import load_recipe
from flows.recipes.plan import run_plan
from infra.engines import Engine, EngineConfig, open_engine
from infra.runs.intake import Intake, take_in
from infra.runs.run import Run
from infra.runs.runner import run_stage
from infra.settings import Settings
from sql.database import Database
from tasks.ports import Grade, ScoreRequest, TokenScores
from tasks.scorers.random import random_value
from tests.fakes import FakeModels
from tests.real_chains import math100
from tests.selection_reference import Chain, kept

NUM_PROBLEMS = 10
STUDENT = "nano:student"
NUM_CHAINS = 8 * NUM_PROBLEMS
COLUMNS = ("rd", "ifd", "grape", "rsr", "naturalness")
SCORERS = (*COLUMNS, "length", "random")
PAIR = {"rd": 0.5, "rsr": 0.5}
RECIPE = """
name = "chosen"
stages = ["verify", "score", "select"]
shard_size = 5
[models.student]
model = "nano:student"
[score]
scorers = ["rd", "ifd", "grape", "rsr", "naturalness", "length", "random"]
[select]
max_rd = inf
"""


@dataclass
class Student:
    """The engine, where a run looks for its models."""

    engine: Engine
    name: str

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        return await self.engine.score(request)


@dataclass
class RecordedGrader:
    """Says of each chain what its source recorded."""

    recorded: dict[str, bool]

    async def grade(self, text: str, *, answer: str, answer_type: str, truncated: bool) -> Grade:
        return Grade(verdict="correct" if self.recorded[text] else "wrong")


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A corpus whose chains are scored; `select` adds a run that chooses otherwise."""

    corpus: Path
    recipe: Path
    problems: Path
    models: FakeModels
    grader: RecordedGrader
    made: dict[str, Database] = field(default_factory=dict)

    def open(self, **select: Any) -> Run:
        tree = [f"select.{name}={_toml(value)}" for name, value in select.items()]
        recipe = load_recipe(str(self.recipe), overrides=tree, problems=(str(self.problems),))
        return Run(
            run_plan(recipe), corpus=self.corpus, settings=Settings(), models=self.models,
            grader=self.grader,
        )  # fmt: skip

    def select(self, **select: Any) -> Database:
        """The corpus with these selections made, once."""
        if (known := self.made.get(str(select))) is not None:
            return known
        with self.open(**select) as run:
            take_in(run, Intake(problems=(str(self.problems),)), lambda _: None)
            asyncio.run(run_stage(run, "select"))
            run.writer.flush()
            self.made[str(select)] = run.database()
        return self.made[str(select)]


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {weight}" for name, weight in value.items()) + "}"
    return str(value)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("select")
    problems = math100()[:NUM_PROBLEMS]
    rows = [
        {"question": p.question, "answer": p.answer, "rationales": list(p.chains.values())}
        for p in problems
    ]
    file = folder / "math.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = folder / "chosen.toml"
    recipe.write_text(RECIPE)
    recorded = {text: p.recorded[who] for p in problems for who, text in p.chains.items()}
    engine = open_engine(EngineConfig(model=STUDENT, threads=1))
    made = Ground(
        corpus=folder / "corpus", recipe=recipe, problems=file, grader=RecordedGrader(recorded),
        models=FakeModels({STUDENT: Student(engine, STUDENT)}),
    )  # fmt: skip
    try:
        with made.open() as run:
            take_in(run, Intake(problems=(str(file),)), lambda _: None)
            for stage in ("verify", "score"):
                asyncio.run(run_stage(run, stage))
        yield made
    finally:
        engine.close()


def chains_of(database: Database) -> list[Chain]:
    """From the rows of `scores`, as they are stored."""
    query = (
        f"select r.rationale_id, r.problem_id, r.text, r.verdict, s.num_tokens, s.others,"
        f" {', '.join(COLUMNS)} from stg_rationales as r left join stg_scores as s"
        " using (rationale_id) where kind = 'long'"
    )
    found = []
    for row in database.run(query).records():
        values = {name: row[name] for name in COLUMNS}
        values |= {"length": row["num_tokens"], **(row["others"] or {})}
        found.append(
            Chain(
                rationale_id=row["rationale_id"], problem_id=row["problem_id"], text=row["text"],
                is_correct=row["verdict"] == "correct", values=values if row["others"] else {},
            )
        )  # fmt: skip
    return found


def kept_by(database: Database) -> set[tuple[str, str]]:
    query = "select rationale_id, condition from stg_selections where kept"
    return set(database.run(query).rows)


@pytest.mark.parametrize("by", [*SCORERS, PAIR], ids=str)
@pytest.mark.parametrize("fraction", [None, 0.3])
def test_what_is_kept_is_what_the_reference_keeps(
    ground: Ground, by: Any, fraction: float | None
) -> None:
    settings = {} if fraction is None else {"keep_fraction": fraction}
    database = ground.select(by=by, **settings)
    chains = chains_of(database)
    assert len(chains) == NUM_CHAINS
    counted = database.run("select count(*), count(*) filter (kept) from stg_selections").rows
    ours = kept_by(database)
    assert counted == [(NUM_CHAINS, len(ours))]
    assert ours == kept(chains, by=by, fraction=fraction)
    assert 0 < len(ours) <= NUM_PROBLEMS
    text = {"rd": None, str(PAIR): "0.5 rd + 0.5 rsr"}.get(str(by), by)
    assert database.run('select distinct "by" from stg_selections').rows == [(text,)]


def test_thresholds_cut_where_the_reference_cuts(ground: Ground) -> None:
    """At the median, in each direction; a blend at 0.4."""
    for by in ("ifd", "grape", PAIR):
        database = ground.select(by="rd")
        chains = chains_of(database)
        worst = 0.4
        if isinstance(by, str):
            values = sorted(v for c in chains if c.is_correct and (v := c.values.get(by)))
            worst = values[len(values) // 2]
        database = ground.select(by=by, threshold=worst, keep_per_problem=8)
        assert kept_by(database) == kept(chains, by=by, worst=worst, per_problem=8), by
        dropped = "select count(*) from stg_selections where reason = 'beyond_threshold'"
        assert database.run(dropped).rows[0][0] > 0, by


def test_scorers_keep_different_ones(ground: Ground) -> None:
    found = {str(by): frozenset(kept_by(ground.select(by=by))) for by in (*SCORERS, PAIR)}
    assert len(set(found.values())) == len(found)


def test_no_scorer_but_the_student_is_asked_again(ground: Ground) -> None:
    """Rows of the score stage are shared by all these runs: one a right chain."""
    database = ground.select(by="length")
    (right,) = database.run("select count(*) from stg_rationales where verdict = 'correct'").rows[0]
    assert database.run("select count(*) from raw_scores").rows == [(right,)]


def test_random_is_a_number_of_the_rationale(ground: Ground) -> None:
    database = ground.select(by="random")
    query = "select rationale_id, others['random'] from stg_scores order by all"
    values = dict(database.run(query).rows)
    assert len(set(values.values())) == len(values)
    assert values == {name: random_value(name, seed=0) for name in values}
