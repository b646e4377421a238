"""Models by turns: the same rows as together, and never two models in memory at once."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from infra.storage import Corpus
from sql.database import connect
from tests.integration.calm_corpus import ARGUMENTS, CalmCorpus

pytestmark = pytest.mark.usefixtures("prefect_server")

CONTENT = {
    "rationales": "rationale_id, text, verdict", "difficulties": "difficulty_id, difficulty",
    "scores": "score_id, round(rd, 9)", "selections": "selection_id, kept",
    "examples": "example_id, prompt", "rejections": "record_id, stage, reason",
}  # fmt: skip
LOOK_EVERY_S = 0.2
WITHOUT_MODEL_BYTES = 450 * 2**20  # Python, Ray and torch take less, the smallest model in it more


def engines_of(run: int) -> int:
    """Processes with a model in their memory; Ray names a worker by the actor in it, before that
    loads any."""
    count = 0
    for process in psutil.Process(run).children(recursive=True):
        try:
            is_engine = "Engine" in " ".join(process.cmdline()[:1])
            count += is_engine and process.memory_info().rss > WITHOUT_MODEL_BYTES
        except psutil.Error:  # it has just ended
            continue
    return count


@dataclass(frozen=True)
class Turns:
    """A corpus, what its run printed, and how many models were in memory at each look."""

    corpus: Path
    printed: str
    looks: list[int]


@pytest.fixture(scope="module")
def turns(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Turns:
    """The calm corpus' recipe by turns, in a Ray of its own."""
    folder = tmp_path_factory.mktemp("turns")
    command = [sys.executable, "-m", "flows.cli.main", *ARGUMENTS]
    environment = {n: value for n, value in os.environ.items() if not n.startswith("RAY_")}
    with (
        (folder / "printed").open("w+") as printed,
        subprocess.Popen(
            [*command, "--corpus", str(folder / "corpus")], stdout=printed, stderr=printed,
            env={**environment, "LITECOT_PLACEMENT": "turns"},
        ) as run,
    ):  # fmt: skip
        looks = []
        while run.poll() is None:
            looks.append(engines_of(run.pid))
            time.sleep(LOOK_EVERY_S)
        printed.seek(0)
        text = printed.read()
    assert run.returncode == 0, text
    return Turns(folder / "corpus", text, looks)


def rows(corpus: Path) -> dict[str, set[tuple[object, ...]]]:
    """Table -> its rows: ids and what the models made of them, less the noise of a sum's order."""
    database = connect(Corpus(corpus).parts())
    return {
        table: set(database.run(f"select {columns} from raw_{table}").rows)
        for table, columns in CONTENT.items()
    }


def test_turns_make_the_same_rows_as_models_that_stay(turns: Turns, calm: CalmCorpus) -> None:
    assert "all models stay loaded" in calm.printed
    together = rows(calm.folder)
    assert together["examples"]
    assert rows(turns.corpus) == together


def test_one_model_at_a_time_is_in_memory(turns: Turns) -> None:
    seen = [count for count, _ in itertools.groupby(turns.looks)]
    assert seen == [0, 1, 0, 1, 0]  # the teacher, then the student


def test_a_phase_ends_before_the_next_begins(turns: Turns) -> None:
    database = connect(Corpus(turns.corpus).parts())
    ((last_compressed, first_scored),) = database.run(
        "select (select max(created_at) from raw_rationales),"
        " (select min(created_at) from raw_scores)"
    ).rows
    assert last_compressed <= first_scored


def test_the_plan_is_said_before_anything_starts(turns: Turns) -> None:
    words = turns.printed
    assert words.index("the stages take turns") < words.index("generate shard")
    assert "then score, select, mix with the student" in words
