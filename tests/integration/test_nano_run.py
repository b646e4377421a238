"""The whole line, real: `litecot run nano` on a few problems, then every question about it."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from infra.storage import Corpus, CorpusWriter
from sql.database import connect, names
from tasks.schemas import TABLES, Invocation
from tests.integration import calm_corpus
from tests.integration.calm_corpus import CalmCorpus
from tests.integration.command_line import litecot, query
from tests.integration.prefect_api import asked, runs_of, tasks_of

pytestmark = pytest.mark.usefixtures("prefect_server")

NUM_PROBLEMS, NUM_EVALUATED = 12, 6
ARGUMENTS = (
    "run", "nano", "--limit", str(NUM_PROBLEMS), "--set", "shard_size=6", "--set", "train.epochs=2",
    "--set", f"evaluate.limit={NUM_EVALUATED}",
)  # fmt: skip
STAGES = ("generate", "difficulty", "rewrite", "compress", "score", "select", "mix", "train")
REPEAT_LIMIT_S = 120  # a generous bound on a run that has nothing to do


class Made(NamedTuple):
    """A corpus made by one run, and what the run printed."""

    corpus: Path
    printed: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Made:
    corpus = tmp_path_factory.mktemp("nano") / "corpus"
    done = litecot(*ARGUMENTS, "--corpus", str(corpus))
    assert done.returncode == 0, done.stdout + done.stderr
    return Made(corpus, done.stdout)


def test_report_answers_a_strangers_questions(made: Made) -> None:
    for words in (
        "problems", "answered correctly", "levels", "mean tokens", "compression", "kept",
        "before training", "after training", "with <compress>", "wall seconds", "litecot show",
    ):  # fmt: skip
        assert words in made.printed


def test_every_stage_left_rows(made: Made) -> None:
    """As the command line says it, and the same without it."""
    done = litecot("sql", "from funnel", "--corpus", str(made.corpus), "--format", "json")
    assert json.loads(done.stdout) == query(made.corpus, "from funnel"), done.stderr
    counts = {row["stage"]: row["num_rows"] for row in json.loads(done.stdout)}
    assert counts["problems"] == NUM_PROBLEMS
    assert counts["with_candidates"] == 4 * NUM_PROBLEMS
    assert all(counts.values()), counts


def test_nothing_disappears(made: Made) -> None:
    (row,) = query(
        made.corpus,
        """select
            (select count(*) from stg_problems where split = 'train') as problems,
            (select count(*) from stg_rationales where kind = 'rewritten') as rewritten,
            (select count(*) from stg_rejections where stage = 'rewrite') as rejected""",
    )
    assert row["problems"] == row["rewritten"] + row["rejected"]


def test_checks_find_no_failing_row(made: Made) -> None:
    database = connect(Corpus(made.corpus).parts())
    assert {name: database.run_file("checks", name).rows for name in names("checks")} == {
        name: [] for name in names("checks")
    }


def test_trained_student_is_in_the_corpus(made: Made) -> None:
    (model,) = query(made.corpus, "select path, world_size, num_examples from stg_models")
    assert (made.corpus / model["path"] / "model.safetensors").is_file()
    assert model["world_size"] == 2
    roles = query(made.corpus, "select role, compress, num_problems from evaluation_summary")
    assert {(r["role"], r["compress"], r["num_problems"]) for r in roles} == {
        (role, compress, NUM_EVALUATED)
        for role in ("base", "trained")
        for compress in (False, True)
    }


def test_the_curve_is_rows_and_told_while_training_goes_on(made: Made, left: Left) -> None:
    curve = query(made.corpus, "from training_curve order by step")
    (model,) = query(made.corpus, "from stg_models")
    assert {row["model_id"] for row in curve} == {model["model_id"]}
    assert [row["step"] for row in curve] == list(range(model["num_steps"] + 1))
    assert (curve[0]["share_done"], curve[-1]["share_done"]) == (0.0, 1.0)
    assert all(row["loss"] > 0 and row["tokens_per_s"] > 0 for row in curve[1:])
    assert [row["tokens"] for row in curve] == sorted(row["tokens"] for row in curve)
    assert json.loads(model["settings"])["epochs"] == 2
    assert json.loads(model["versions"])["torch"]
    assert model["device_hours"] == pytest.approx(2 * model["train_seconds"] / 3600)
    wrapped = f"DeepSpeed ZeRO-{model['zero_stage']} on cpu ({model['engine']}, DEEPSPEED)"
    assert f"  train: 2 ranks, {wrapped}" in made.printed
    said = of_type(left, "progress")["nano-train"]["description"]
    assert f"step {model['num_steps']} of {model['num_steps']}, loss " in said


def test_a_corpus_without_students_forecasts_none_and_says_why(made: Made) -> None:
    told = "forecast: none, it needs 8 evaluated students of nano:student, and the corpus has"
    assert f"  {told} trained 0\n" in made.printed
    assert made.printed.index(told) < made.printed.index("  train: 2 ranks, ")


def test_the_last_lines_ask_the_student_when_pasted(made: Made, tmp_path: Path) -> None:
    lines = made.printed.splitlines()
    (first,) = [n for n, line in enumerate(lines) if line.startswith("the student is in")]
    code = "\n".join(line.strip() for line in lines[first + 1 : first + 4])
    said: list[str] = []
    exec(code.replace("2048", "8"), {"print": said.append})
    assert said
    assert said[0].strip()
    (readme,) = (made.corpus / "weights").glob("*/README.md")
    assert "<compress>{question}<|im_end|>" in readme.read_text()
    done = litecot("publish-model", str(tmp_path / "student"), "--corpus", str(made.corpus))
    assert done.returncode == 0, done.stderr
    card = (tmp_path / "student" / "README.md").read_text()
    assert "| after training | eval.jsonl | with `<compress>` | 6 |" in card


def test_show_prints_the_lineage_down_to_the_training_example(made: Made) -> None:
    (row,) = query(
        made.corpus, "select problem_id from stg_examples where condition = 'compressed' limit 1"
    )
    done = litecot("show", row["problem_id"], "--corpus", str(made.corpus))
    assert done.returncode == 0, done.stderr
    for words in ("question", "long chain 0", "rewritten as", "compressed, round 1", "RD",
                  "selection as", "training example"):  # fmt: skip
        assert words in done.stdout


# --- what it left in Prefect


Left = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def left(made: Made, prefect_server: str) -> Left:
    """Flow runs, task runs and artifacts of `made`, among those of other runs."""
    (runs,) = runs_of(prefect_server, made.corpus)
    of_these = {"flow_run_id": {"any_": [run["id"] for run in runs]}}
    return {
        "flow_runs": runs,
        "task_runs": tasks_of(prefect_server, runs),
        "artifacts": asked(prefect_server, "artifacts", artifacts=of_these),
    }


def of_type(left: Left, kind: str) -> dict[str, dict[str, Any]]:
    """Artifacts by key; of several the one updated last."""
    found = [one for one in left["artifacts"] if one["type"] == kind]
    return {one["key"]: one for one in sorted(found, key=lambda one: one["updated"])}


def test_the_run_is_one_row_and_every_task_ended_well(made: Made, left: Left) -> None:
    (run,) = left["flow_runs"]
    assert run["name"].startswith("liter nano, ")
    assert set(run["tags"]) == {"nano", f"corpus:{made.corpus}"}
    assert run["state_type"] == "COMPLETED"
    tasks = {task["name"]: task for task in left["task_runs"]}
    assert {task["state_type"] for task in tasks.values()} == {"COMPLETED"}
    assert {"ingest", "generate, shard 0", "generate, shard 1", "train the student"} <= set(tasks)
    tagged = [name for name, task in tasks.items() if task["tags"]]
    assert tagged == []  # for a tag the server is asked for a slot, and often answers only later


def test_every_stage_left_its_progress(left: Left) -> None:
    """One artifact a stage, whole at the end, with the records of all its shards."""
    progress = of_type(left, "progress")
    assert {f"nano-{stage}" for stage in STAGES} <= set(progress)
    assert {key: float(one["data"]) for key, one in progress.items()} == dict.fromkeys(
        progress, 100.0
    )
    said = progress["nano-generate"]["description"]
    assert said.startswith(f"{NUM_PROBLEMS} of {NUM_PROBLEMS} records, ")
    assert said.endswith(("/s", "/min"))


def test_the_funnel_is_a_table(made: Made, left: Left) -> None:
    (table,) = of_type(left, "table").values()
    assert table["key"] == "nano-funnel"
    assert table["description"] == "Problems and rows left by each stage"
    assert json.loads(table["data"]) == query(made.corpus, "from funnel")


def test_the_summary_is_a_page(made: Made, left: Left) -> None:
    page = of_type(left, "markdown")["nano-summary"]
    assert page["description"] == "What nano made"
    assert f"| problems | {NUM_PROBLEMS} |  |" in page["data"]
    for words in ("answered correctly", "mean tokens", "compression", "kept", "Held-out problems"):
        assert words in page["data"]


def test_the_report_is_in_the_corpus_and_linked(made: Made, left: Left) -> None:
    """All of the run is in it, this invocation too."""
    report = made.corpus / "report.html"
    text = report.read_text(encoding="utf-8")
    assert made.printed.splitlines()[-1] == f"the report is {report}: open it in a browser"
    assert f"]({report.as_uri()})" in of_type(left, "markdown")["nano-report"]["data"]
    for title in ("Time by stage", "Loss", "Example 1: ", "Selected as compressed", "Provenance"):
        assert title in text


# --- the same again, rotten, refused


def test_the_same_command_again_does_nothing(made: Made) -> None:
    """Nor does it fail where its report cannot be kept."""
    report = made.corpus / "report.html"
    report.unlink()
    report.mkdir()
    started = time.monotonic()
    done = litecot(*ARGUMENTS, "--corpus", str(made.corpus))
    report.rmdir()
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < REPEAT_LIMIT_S
    assert f"the report was not made: {made.corpus}" in done.stdout
    (last,) = query(made.corpus, "from stg_invocations order by started_at desc limit 1")
    assert last["num_requests"] == 0
    assert set(json.loads(last["stage_rows"]).values()) == {0}


def ids(corpus: Path) -> dict[str, list[str]]:
    """Of all rows that a rerun can make, by table."""
    database = connect(Corpus(corpus).parts())
    return {
        table: [
            found for (found,) in database.run(f"select {row.key} from raw_{table} order by 1").rows
        ]
        for table, row in TABLES.items()
        if row is not Invocation
    }


def test_whatever_table_rots_is_named_and_made_again(calm: CalmCorpus, tmp_path: Path) -> None:
    """A byte of every part: by `corpus check`, by who reads, and by the same command again.

    There is no student: to train it again takes a minute for what test_rot.py shows of any part.
    """
    corpus = Path(shutil.copytree(calm.folder, tmp_path / "corpus"))
    parts = sorted(corpus.glob("[!_]*/part-*.parquet"))
    assert len(parts) == sum(map(len, Corpus(corpus).parts().values())) >= 8
    chance = random.Random(14)
    for part in parts:
        content = bytearray(part.read_bytes())
        content[chance.randrange(len(content))] ^= chance.randrange(1, 256)
        for name in (part, corpus / "_parts" / part.parent.name / part.name):  # one file, linked
            name.write_bytes(content)
    checked = litecot("corpus", "check", "--corpus", str(corpus))
    assert checked.returncode == 1
    assert checked.stdout.count(": holds other bytes than were written; ") == len(parts)
    assert all(str(part) in checked.stdout for part in parts)
    asked = litecot("sql", "from funnel", "--corpus", str(corpus))
    assert (asked.returncode, asked.stdout) == (2, "")
    assert any(str(part) in asked.stderr for part in parts)
    done = litecot(*calm_corpus.ARGUMENTS, "--corpus", str(corpus))
    assert done.returncode == 0, done.stderr
    assert all(f"{part}: holds other bytes" in done.stderr for part in parts)
    assert ids(corpus) == ids(calm.folder)
    assert len(list((corpus / "_quarantine").iterdir())) == len(parts)
    assert litecot("corpus", "check", "--corpus", str(corpus)).returncode == 0


def test_a_second_writer_is_refused(made: Made) -> None:
    with CorpusWriter(made.corpus):
        done = litecot(*ARGUMENTS, "--corpus", str(made.corpus))
    assert done.returncode == 2
    assert str(os.getpid()) in done.stderr
    assert "Traceback" not in done.stderr
