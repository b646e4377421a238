"""Taking problems in: once a run, none that is held out, and again where the disk lost them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.engines import EngineConfig
from infra.intake import Intake, IntakeReport, take_in
from infra.run import Run, RunPlan
from infra.settings import Settings
from infra.storage import Corpus
from sql.database import connect
from tasks.ingest import SourceConfig
from tests.fakes import WordCounter, WordGrader

FINGERPRINTS = {"ingest": "fp-ingest"}


def write(path: Path, *rows: tuple[str, str]) -> str:
    lines = [json.dumps({"question": question, "answer": answer}) for question, answer in rows]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture
def intake(tmp_path: Path) -> Intake:
    train = write(tmp_path / "train.jsonl", ("1 + 1?", "2"), ("2 + 1?", "3"), ("3 + 1?", "4"))
    held_out = write(tmp_path / "eval.jsonl", ("3  + 1?", "4"), ("9 + 1?", "10"))
    return Intake(
        problems=[train], eval_problems=[held_out],
        source=SourceConfig(candidates="ignore", answer_type="text"),
    )  # fmt: skip


def run_intake(folder: Path, intake: Intake) -> tuple[IntakeReport, list[tuple[object, ...]]]:
    """What one invocation took in, and the run's problems afterwards."""
    plan = RunPlan(
        run_id="run", recipe="r", resolved="{}", fingerprints=FINGERPRINTS, stages={},
        counter=EngineConfig(model="m"), seed=0,
    )  # fmt: skip
    run = Run(plan, corpus=folder, settings=Settings(), grader=WordGrader(), tokens=WordCounter())
    run.run_id = _run_id(run)
    with run:
        report = take_in(run, intake, lambda count: None)
        rows = run.database().run("select split, question from stg_problems order by all").rows
        rejected = run.database().run("select reason, question from stg_rejections "
                                      "join stg_problems using (problem_id)").rows  # fmt: skip
    return report, [*rows, *rejected]


def _run_id(run: Run) -> str:
    from infra.intake import _run_row

    return _run_row(run, 0).content_id()


EXPECTED = [
    ("eval", "3 + 1?"), ("eval", "9 + 1?"), ("train", "1 + 1?"), ("train", "2 + 1?"),
    ("in_evaluation_set", "3 + 1?"),
]  # fmt: skip


def test_a_held_out_question_is_not_trained_on_whatever_its_answer_type(
    tmp_path: Path, intake: Intake
) -> None:
    _, found = run_intake(tmp_path / "corpus", intake)
    assert found == EXPECTED


def test_the_second_time_nothing_is_read(tmp_path: Path, intake: Intake) -> None:
    run_intake(tmp_path / "corpus", intake)
    report, found = run_intake(tmp_path / "corpus", intake)
    assert not report.is_new
    assert found == EXPECTED


@pytest.mark.parametrize("table", ["memberships", "problems"])
def test_what_the_disk_lost_is_taken_in_again(tmp_path: Path, intake: Intake, table: str) -> None:
    run_intake(tmp_path / "corpus", intake)
    for part in (tmp_path / "corpus" / table).glob("*.parquet"):
        part.unlink()
    _, found = run_intake(tmp_path / "corpus", intake)
    assert found == EXPECTED


def test_lost_candidates_are_taken_in_again(tmp_path: Path) -> None:
    lines = [
        json.dumps({"question": f"{n} + 1?", "answer": str(n + 1), "rationales": ["a", "b"][:n]})
        for n in (1, 2)
    ]
    (tmp_path / "brought.jsonl").write_text("\n".join(lines))
    source = SourceConfig(candidates="require", answer_type="text")
    intake = Intake(problems=[str(tmp_path / "brought.jsonl")], source=source)

    def candidates() -> list[tuple[object, ...]]:
        database = connect(Corpus(tmp_path / "corpus").parts())
        return database.run("select text from raw_candidates order by all").rows

    run_intake(tmp_path / "corpus", intake)
    for part in (tmp_path / "corpus" / "candidates").glob("*.parquet"):
        part.unlink()
    run_intake(tmp_path / "corpus", intake)
    assert candidates() == [("a",), ("a",), ("b",)]
    report, _ = run_intake(tmp_path / "corpus", intake)
    assert not report.is_new
