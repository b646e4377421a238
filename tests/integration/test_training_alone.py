"""`litecot train`: the student on the examples that are there, the same as `litecot run` makes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.integration.calm_corpus import ARGUMENTS, NUM_PROBLEMS, STAGES, CalmCorpus
from tests.integration.command_line import litecot, query

WITH_STUDENT = (
    *ARGUMENTS[1:], "--set", f"stages={json.dumps([*STAGES, 'train'])}", "--set", "train.epochs=1",
    "--set", "train.num_ranks=1",
)  # fmt: skip


def models(corpus: Path) -> list[str]:
    """Ids of the students whose weights are there."""
    rows = query(corpus, "from raw_models")
    return [
        row["model_id"] for row in rows if (corpus / row["path"] / "model.safetensors").exists()
    ]


def test_what_train_makes_a_run_finds_done(calm: CalmCorpus, tmp_path: Path) -> None:
    corpus = Path(shutil.copytree(calm.folder, tmp_path / "corpus"))
    done = litecot("train", *WITH_STUDENT, "--corpus", str(corpus))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the student is in" in done.stdout
    trained = models(corpus)
    assert len(trained) == 1

    whole = litecot("run", *WITH_STUDENT, "--corpus", str(corpus))
    assert (whole.returncode, models(corpus)) == (0, trained), whole.stderr
    (last,) = query(corpus, "from stg_invocations order by started_at desc limit 1")
    rows = json.loads(last["stage_rows"])
    assert set(rows.values()) == {0}


def test_other_examples_are_not_there(calm: CalmCorpus) -> None:
    more = str(NUM_PROBLEMS + 1)
    done = litecot("train", *WITH_STUDENT, "--limit", more, "--corpus", str(calm.folder))
    assert (done.returncode, done.stdout) == (2, "")
    assert "under these settings (nothing of stage" in done.stderr
    assert done.stderr.count("\n") == 1
    assert query(calm.folder, "from raw_models") == []


def test_a_plan_counts_the_examples_that_are_there(calm: CalmCorpus) -> None:
    (row,) = query(calm.folder, "select count(*) as n, avg(num_tokens) as tokens from stg_examples")
    done = litecot("train", *WITH_STUDENT, "--corpus", str(calm.folder), "--plan")
    assert f"{row['n']} examples of " in done.stdout, done.stderr
    assert f"(as {calm.folder} has them)" in " ".join(done.stdout.split())
