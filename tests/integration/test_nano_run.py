"""The whole line, real: `litecot run nano` on a few problems, then every question about it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ARGUMENTS = (
    "run", "nano", "--limit", "30", "--set", "shard_size=15", "--set", "train.epochs=2",
    "--set", "evaluate.limit=12",
)  # fmt: skip
REPEAT_LIMIT_S = 120  # a generous bound on a run that has nothing to do


def litecot(*arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "flows.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def query(corpus: Path, text: str) -> list[dict[str, object]]:
    """Rows of a query through the command line."""
    done = litecot("sql", text, "--corpus", str(corpus), "--format", "json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A corpus made by one run, and what the run printed."""
    corpus = tmp_path_factory.mktemp("nano") / "corpus"
    done = litecot(*ARGUMENTS, "--corpus", str(corpus))
    assert done.returncode == 0, done.stdout + done.stderr
    return corpus, done.stdout


def test_report_answers_a_strangers_questions(made: tuple[Path, str]) -> None:
    _, printed = made
    for words in (
        "problems", "answered correctly", "levels", "mean tokens", "compression", "kept",
        "before training", "after training", "with <compress>", "wall seconds", "litecot show",
    ):  # fmt: skip
        assert words in printed


def test_every_stage_left_rows(made: tuple[Path, str]) -> None:
    counts = {r["stage"]: r["num_rows"] for r in query(made[0], "from funnel")}
    assert counts["problems"] == 30
    assert counts["with_candidates"] == 120
    assert all(counts.values()), counts


def test_nothing_disappears(made: tuple[Path, str]) -> None:
    (row,) = query(
        made[0],
        """select
            (select count(*) from stg_problems where split = 'train') as problems,
            (select count(*) from stg_rationales where kind = 'rewritten') as rewritten,
            (select count(*) from stg_rejections where stage = 'rewrite') as rejected""",
    )
    assert row["problems"] == int(str(row["rewritten"])) + int(str(row["rejected"]))


def test_checks_find_no_failing_row(made: tuple[Path, str]) -> None:
    from infra.storage import Corpus
    from sql.database import connect, names

    database = connect(Corpus(made[0]).parts())
    assert {name: database.run_file("checks", name).rows for name in names("checks")} == {
        name: [] for name in names("checks")
    }


def test_trained_student_is_in_the_corpus(made: tuple[Path, str]) -> None:
    (model,) = query(made[0], "select path, world_size, num_examples from stg_models")
    assert (made[0] / str(model["path"]) / "model.safetensors").is_file()
    assert model["world_size"] == 2
    roles = query(made[0], "select role, compress, num_problems from evaluation_summary")
    assert {(r["role"], r["compress"], r["num_problems"]) for r in roles} == {
        (role, compress, 12) for role in ("base", "trained") for compress in (False, True)
    }


def test_show_prints_the_lineage_down_to_the_training_example(made: tuple[Path, str]) -> None:
    (row,) = query(
        made[0], "select problem_id from stg_examples where condition = 'compressed' limit 1"
    )
    done = litecot("show", str(row["problem_id"]), "--corpus", str(made[0]))
    assert done.returncode == 0, done.stderr
    for words in ("question", "long chain 0", "rewritten as", "compressed, round 1", "RD",
                  "selection as", "training example"):  # fmt: skip
        assert words in done.stdout


def test_the_same_command_again_does_nothing(made: tuple[Path, str]) -> None:
    started = time.monotonic()
    done = litecot(*ARGUMENTS, "--corpus", str(made[0]))
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < REPEAT_LIMIT_S
    (last,) = query(made[0], "from stg_invocations order by started_at desc limit 1")
    assert last["num_requests"] == 0
    assert set(json.loads(str(last["stage_rows"])).values()) == {0}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    corpus = tmp_path / "corpus"
    command = [sys.executable, "-m", "flows.cli.main", *ARGUMENTS, "--corpus", str(corpus)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        for line in run.stdout:
            if re.search(r"generate shard", line):
                break
        run.send_signal(number)
        assert run.wait(timeout=120) == 130
        assert "run the same command again" in run.stderr.read()
    (row,) = query(corpus, "select status from raw_invocations")
    assert row["status"] == "interrupted"
    assert query(corpus, "select count(*) as n from raw_rationales")[0]["n"]


def test_a_second_writer_is_refused(made: tuple[Path, str]) -> None:
    from infra.storage import CorpusWriter

    with CorpusWriter(made[0]):
        done = litecot(*ARGUMENTS, "--corpus", str(made[0]))
    assert done.returncode == 2
    assert str(os.getpid()) in done.stderr
    assert "Traceback" not in done.stderr
