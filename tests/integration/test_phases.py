"""Models by turns: the same rows as together, and never two models in memory at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from infra.storage import Corpus
from sql.database import connect

pytestmark = pytest.mark.usefixtures("prefect_server")

STAGES = ["generate", "difficulty", "rewrite", "compress", "score", "select", "mix"]
ARGUMENTS = (
    "run", "nano", "--limit", "8", "--set", "shard_size=4",
    "--set", f"stages={json.dumps(STAGES)}",
)  # fmt: skip
CONTENT = {
    "rationales": "rationale_id, text, verdict", "difficulties": "difficulty_id, difficulty",
    "scores": "score_id, round(rd, 9)", "selections": "selection_id, kept",
    "examples": "example_id, prompt", "rejections": "record_id, stage, reason",
}  # fmt: skip
LOOK_EVERY_S = 0.2


def engines_of(run: int) -> int:
    """Processes that host a model; Ray names a worker by the actor in it."""
    count = 0
    for process in psutil.Process(run).children(recursive=True):
        try:
            count += "Engine" in " ".join(process.cmdline()[:1])
        except psutil.Error:  # it has just ended
            continue
    return count


def made(corpus: Path, placement: str) -> tuple[str, list[int]]:
    """What a run printed, and how many models it had in memory at each look."""
    command = [sys.executable, "-m", "flows.cli.main", *ARGUMENTS, "--corpus", str(corpus)]
    environment = {**os.environ, "LITECOT_PLACEMENT": placement}
    with (
        (corpus.parent / "printed").open("w+") as printed,
        subprocess.Popen(command, env=environment, stdout=printed, stderr=printed) as run,
    ):
        looks = []
        while run.poll() is None:
            looks.append(engines_of(run.pid))
            time.sleep(LOOK_EVERY_S)
        printed.seek(0)
        text = printed.read()
    assert run.returncode == 0, text
    return text, looks


def rows(corpus: Path) -> dict[str, set[tuple[object, ...]]]:
    """Table -> its rows: ids and what the models made of them, less the noise of a sum's order."""
    database = connect(Corpus(corpus).parts())
    return {
        table: set(database.run(f"select {columns} from raw_{table}").rows)
        for table, columns in CONTENT.items()
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str, list[int]]]:
    """The same recipe, its models together and by turns."""
    found = {}
    for placement in ("together", "turns"):
        corpus = tmp_path_factory.mktemp(placement) / "corpus"
        found[placement] = (corpus, *made(corpus, placement))
    return found


def test_turns_make_the_same_rows(runs: dict[str, tuple[Path, str, list[int]]]) -> None:
    together, turns = rows(runs["together"][0]), rows(runs["turns"][0])
    assert together["examples"]
    assert turns == together


def test_one_model_at_a_time_is_in_memory(runs: dict[str, tuple[Path, str, list[int]]]) -> None:
    assert max(runs["together"][2]) == 2
    assert max(runs["turns"][2]) == 1


def test_a_phase_ends_before_the_next_begins(
    runs: dict[str, tuple[Path, str, list[int]]],
) -> None:
    database = connect(Corpus(runs["turns"][0]).parts())
    ((last_compressed, first_scored),) = database.run(
        "select (select max(created_at) from raw_rationales),"
        " (select min(created_at) from raw_scores)"
    ).rows
    assert last_compressed <= first_scored


def test_the_plan_is_said_before_anything_starts(
    runs: dict[str, tuple[Path, str, list[int]]],
) -> None:
    words = runs["turns"][1]
    assert words.index("the stages take turns") < words.index("generate shard")
    assert "then score, select, mix with the student" in words
    assert "all models stay loaded" in runs["together"][1]
