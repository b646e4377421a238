"""The stage `measure`: perplexity of examples under the student before it is trained."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

from flows.recipes.loading import load_recipe
from flows.recipes.plan import draft_plan
from infra.runs.forecasts import candidate_of
from infra.runs.run import Run
from infra.runs.runner import run_stage
from infra.settings import load_settings
from sql.database import connect, statement
from tasks.measure import MeasureConfig, MeasureRecord, measure
from tasks.ports import ScoreRequest
from tests.fakes import FakeModels, TableScorer, ports
from tests.unit.forecast_corpus import Made, plan_of, write_students

STAGES = '["generate", "difficulty", "rewrite", "compress", "score", "select", "mix", %s"train"]'
WITH, WITHOUT = (f"stages={STAGES % text}" for text in ('"measure", ', ""))


def halves(request: ScoreRequest, number: int) -> tuple[list[float], list[int]]:
    assert request.prompt is not None
    assert not request.prompt.compress  # the base has not learnt what it means
    return [-math.log(2), -math.log(8)], [1, 3]


def test_the_whole_completion_is_read_behind_its_prompt() -> None:
    student = TableScorer(halves)
    record = MeasureRecord(
        record_id="e", problem_id="p", prompt="What?", completion="So 4.", condition="compressed"
    )
    (row,) = asyncio.run(measure(record, ports(scoring={"student": student}), MeasureConfig()))
    assert row.perplexity == pytest.approx(4.0)
    assert (row.example_id, row.condition, row.num_tokens) == ("e", "compressed", 2)
    assert [request.targets for request in student.asked] == [("So 4.",)]


def test_it_changes_no_fingerprint_but_its_own() -> None:
    """So it may be added to a recipe whose student is trained already."""
    plain, measured = (
        draft_plan(load_recipe("nano", overrides=[stages])) for stages in (WITHOUT, WITH)
    )
    assert set(measured.fingerprints) - set(plain.fingerprints) == {"measure"}
    assert {**measured.fingerprints} == {
        **plain.fingerprints, "measure": measured.fingerprints["measure"]
    }  # fmt: skip
    assert list(measured.fingerprints)[-2:] == ["measure", "train"]


def test_which_examples_are_read_depends_on_their_ids_alone() -> None:
    with connect({}) as database:
        cursor = database.cursor({"config": MeasureConfig(num_examples=3).model_dump_json()})
        cursor.execute(
            "create or replace temp view stg_examples as select id as example_id,"
            " 'p' as problem_id, 'q' as prompt, 'c' as completion, 'original' as condition"
            " from unnest(['d', 'a', 'c', 'b', 'e']) as t(id)"
        )
        read = [row[0] for row in cursor.execute(statement("inputs", "measure")).fetchall()]
    assert read == ["a", "b", "c"]


async def test_what_was_read_is_a_feature_and_is_not_read_again(tmp_path: Path) -> None:
    made = Made(seed=1, tokens=50, more=(WITH, "measure.num_examples=5"))
    write_students(tmp_path / "corpus", [], untrained=[made])
    recipe, plan = plan_of(made)
    student = TableScorer(halves, name="nano:student")
    models = FakeModels({student.name: student})
    for expected in (5, 0):
        with Run(plan, corpus=tmp_path / "corpus", settings=load_settings(), models=models) as run:
            report = await run_stage(run, "measure")
            with run.database() as database:
                found = candidate_of(database, plan, recipe.train)
        assert (report.num_rows, report.num_rejected) == (expected, 0)
        assert len(student.asked) == 5
        assert found is not None
        assert found.training.ppl_examples == pytest.approx(4.0)
        assert found.training.ppl_rationales == pytest.approx(2.5)  # as the stage `score` had it
