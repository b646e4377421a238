"""`litecot train`: the student on the examples that are there, the same as `litecot run` makes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.integration.command_line import litecot, query

pytestmark = pytest.mark.usefixtures("prefect_server", "warm_engines")

STAGES = ["generate", "difficulty", "rewrite", "compress", "score", "select", "mix"]
OPTIONS = ("--limit", "12", "--set", "train.epochs=1")
WITHOUT = ("--set", f"stages={json.dumps(STAGES)}")
ALL = ("--set", f"stages={json.dumps([*STAGES, 'train'])}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Path:
    """A corpus of examples on which nothing was trained."""
    corpus = tmp_path_factory.mktemp("alone") / "corpus"
    done = litecot("run", "nano", *OPTIONS, *WITHOUT, "--corpus", str(corpus))
    assert done.returncode == 0, done.stdout + done.stderr
    return corpus


def models(corpus: Path) -> list[str]:
    """Ids of the students whose weights are there."""
    rows = query(corpus, "from raw_models")
    return [
        row["model_id"] for row in rows if (corpus / row["path"] / "model.safetensors").exists()
    ]


def test_what_train_makes_a_run_finds_done(made: Path, tmp_path: Path) -> None:
    corpus = Path(shutil.copytree(made, tmp_path / "corpus"))
    done = litecot("train", "nano", *OPTIONS, *ALL, "--corpus", str(corpus))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the student is in" in done.stdout
    trained = models(corpus)
    assert len(trained) == 1

    whole = litecot("run", "nano", *OPTIONS, *ALL, "--corpus", str(corpus))
    assert (whole.returncode, models(corpus)) == (0, trained), whole.stderr
    (last,) = query(corpus, "from stg_invocations order by started_at desc limit 1")
    rows = json.loads(last["stage_rows"])
    assert set(rows.values()) == {0}


def test_other_examples_are_not_there(made: Path) -> None:
    done = litecot("train", "nano", "--limit", "13", *OPTIONS[2:], "--corpus", str(made))
    assert (done.returncode, done.stdout) == (2, "")
    assert "under these settings (nothing of stage" in done.stderr
    assert done.stderr.count("\n") == 1
    assert query(made, "from raw_models") == []


def test_a_plan_counts_the_examples_that_are_there(made: Path) -> None:
    (row,) = query(made, "select count(*) as n, avg(num_tokens) as tokens from stg_examples")
    done = litecot("train", "nano", *OPTIONS, *ALL, "--corpus", str(made), "--plan")
    assert f"{row['n']} examples of " in done.stdout, done.stderr
    assert f"(as {made} has them)" in " ".join(done.stdout.split())
