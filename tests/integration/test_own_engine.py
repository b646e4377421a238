"""The engine of docs/engines.md as a plug-in: hosted by a real Ray actor, asked by the runner."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.recipes.loading import load_recipe
from flows.recipes.plan import run_plan
from infra.engines import EngineConfig, ModelFilesError, engine_sha
from infra.hosting.ray_cluster import stop_ray
from infra.hosting.ray_host import ModelPool
from infra.runs.intake import Intake, take_in
from infra.runs.run import Run
from infra.runs.runner import run_stage
from infra.settings import Settings
from tasks.ports import PermanentError, Prompt, Sampling, ScoreRequest
from tests.own_engine import loaded, own_engine

NUM_PROBLEMS = 12
OVERRIDES = (
    'stages=["generate"]', "models.teacher.engine=solver", "models.teacher.model=rules",
    "models.teacher.solver.opener=Hm.", f"limit={NUM_PROBLEMS}", "generate.num_candidates=2",
)  # fmt: skip


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "solver.py"
    with loaded(path, own_engine()):
        yield path
    stop_ray()


@pytest.mark.usefixtures("plugin")
def test_an_engine_of_ones_own_is_the_teacher_of_a_run(tmp_path: Path) -> None:
    recipe = load_recipe("nano", overrides=OVERRIDES)
    with Run(run_plan(recipe), corpus=tmp_path / "corpus", settings=Settings()) as run:
        take_in(run, Intake(problems=recipe.problems, limit=recipe.limit), lambda _: None)
        report = asyncio.run(run_stage(run, "generate"))
        rows = run.database().run("select * from raw_rationales").records()
        words = run.placement.words
    assert words[0] == "teacher rules: 1 replica, on the CPU (solver), size not known, not counted"
    assert (report.num_rows, report.num_rejected) == (2 * NUM_PROBLEMS, 0)
    assert len(rows) == 2 * NUM_PROBLEMS
    assert {(row["engine"], row["model"], row["verdict"]) for row in rows} == {
        ("solver", "rules", "correct")
    }
    assert all(row["text"].startswith("Hm.\n1) ") for row in rows)
    assert all(row["completion_tokens"] == len(row["text"].split()) for row in rows)


async def test_its_actor_loads_its_file_and_no_other_version(plugin: Path) -> None:
    config = EngineConfig(engine="solver", model="rules")
    question = Prompt(text="It starts at 1.\n1) right 3\nWhere does it end?")
    pool = ModelPool()
    (reply,) = await pool.model(config).complete(question, Sampling())
    assert reply.text.endswith("The answer is 4.")
    with pytest.raises(PermanentError, match="no probabilities"):
        await pool.model(config).score(ScoreRequest(prompt=None, targets=("4",)))
    assert engine_sha(config)
    plugin.write_text(own_engine() + "# edited\n")
    other = config.model_copy(update={"threads": 1})  # a pool of its own
    with pytest.raises(ModelFilesError, match="source of engine 'solver' has changed"):
        await pool.model(other).complete(question, Sampling())
    pool.close()
