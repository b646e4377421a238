"""`litecot run` against somebody's server: killed half-way, and served by one that fails often.

What was asked and answered is the server's word, not ours: its log.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.storage import Corpus
from sql.database import Database, connect
from tests.chat_server import Delay, Fault, ServerConfig, read_log, serving_in_process
from tests.integration.crash import duplicate_ids, finish, kill_when, leftovers, start
from tests.integration.prefect_api import runs_of, tasks_of

pytestmark = pytest.mark.usefixtures("prefect_server")

NUM_PROBLEMS = 600
TIMEOUT_S = 8.0  # what a hung request costs the run
IN_FLIGHT = 128
ON_THE_WIRE_S = 1.0  # what was sent before the kill is read by then; the next run starts later
REFUSED = "[a question the server refuses]"
RECIPE = """
name = "served"
stages = ["generate"]

[models.teacher]
engine = "endpoint"
model = "served"

[models.teacher.endpoint]
base_url = "{base_url}"
timeout_s = {timeout_s}

[models.student]
model = "nano:student"

[generate]
num_candidates = 1
"""


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITECOT_IN_FLIGHT", str(IN_FLIGHT))
    monkeypatch.setenv("LITECOT_HOME", str(tmp_path / "home"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "asked.jsonl"


def arguments(folder: Path, base_url: str, *, timeout_s: float, num_refused: int = 0) -> list[str]:
    """Of `litecot run`; the recipe and the problems are written to `folder`."""
    recipe, problems = folder / "served.toml", folder / "problems.jsonl"
    recipe.write_text(RECIPE.format(base_url=base_url, timeout_s=timeout_s))
    with problems.open("w") as file:
        for number in range(NUM_PROBLEMS):
            mark = f" {REFUSED}" if number < num_refused else ""
            question = f"A shelf holds {number} books and gets one more. How many are there?{mark}"
            file.write(json.dumps({"question": question, "answer": str(number + 1)}) + "\n")
    return [str(recipe), "--problems", str(problems)]


def count(database: Database, query: str) -> int:
    return int(database.run(query).rows[0][0])


def prompts(log: Path, event: str, *, until: float = float("inf")) -> Iterator[str]:
    """Prompts of a kind of line up to a moment; `answered` means with a whole reply."""
    for line in read_log(log):
        is_whole = event == "arrived" or line["status"] == 200
        if line["event"] == event and is_whole and line["time"] <= until:
            yield line["prompt"]


def test_a_killed_run_pays_only_for_what_was_in_flight(
    tmp_path: Path, log: Path, prefect_server: str
) -> None:
    """And is Crashed in Prefect, with all that ran inside it, once the next run goes on."""
    corpus = tmp_path / "corpus"
    config = ServerConfig(delay=Delay(median_s=0.2, p99_s=4.0), log=str(log))
    with serving_in_process(config) as base_url:
        command = arguments(tmp_path, base_url, timeout_s=60)

        def is_half_answered() -> bool:
            return log.exists() and log.read_text().count('"answered"') >= NUM_PROBLEMS // 2

        killed_at = kill_when(corpus, command, is_due=is_half_answered)
        assert killed_at
        assert states(prefect_server, corpus) == [{"RUNNING"}]
        finish(corpus, command)
    asked = Counter(prompts(log, "arrived"))
    answered = set(prompts(log, "answered", until=killed_at))
    asked_before = set(prompts(log, "arrived", until=killed_at))
    on_the_wire = set(prompts(log, "arrived", until=killed_at + ON_THE_WIRE_S)) - asked_before
    paid_twice = [prompt for prompt in answered if asked[prompt] > 1]
    in_flight = asked_before - answered
    asked_again = sum(asked.values()) - NUM_PROBLEMS
    print(f"answered {len(answered)}, in flight {len(in_flight)} + {len(on_the_wire)} when killed; "
          f"asked again {asked_again}, of these paid for before {len(paid_twice)}")  # fmt: skip
    assert NUM_PROBLEMS // 2 <= len(answered) < NUM_PROBLEMS
    assert len(paid_twice) <= 5
    assert asked_again <= len(in_flight) + len(on_the_wire) + len(paid_twice)
    assert len(in_flight | on_the_wire) <= IN_FLIGHT
    database = connect(Corpus(corpus).parts())
    assert count(database, "select count(distinct problem_id) from raw_rationales") == NUM_PROBLEMS
    assert count(database, "select count(*) from raw_rationales") == NUM_PROBLEMS
    assert (duplicate_ids(corpus), leftovers(corpus)) == ({}, [])
    assert states(prefect_server, corpus) == [{"CRASHED"}, {"COMPLETED"}]
    killed, going_on = (runs[0] for runs in runs_of(prefect_server, corpus))
    message = killed["state"]["message"]
    assert message.endswith(f"flow run {going_on['name']!r} ({going_on['id']}) goes on.")
    assert "is now Crashed in Prefect" in corpus.with_suffix(".log").read_text()


def states(api: str, corpus: Path) -> list[set[str]]:
    """Of all flow runs of each run, and of the task runs that ask models."""
    return [
        {
            run["state_type"]
            for run in [*runs, *tasks_of(api, runs)]
            if not run["name"].startswith(("ingest", "corpus-"))
        }
        for runs in runs_of(api, corpus)
    ]


def test_a_server_that_fails_often_costs_no_row(tmp_path: Path, log: Path) -> None:
    corpus = tmp_path / "corpus"
    faults = (
        Fault(kind="400", marker=REFUSED, message="this question is not allowed here"),
        Fault(kind="429", share=0.05, times=1, retry_after_s=1),
        Fault(kind="500", share=0.01, times=1),
        Fault(kind="hang", share=0.005, times=1),
    )
    config = ServerConfig(seed=3, delay=Delay(fixed_s=0.05), faults=faults, log=str(log))
    with serving_in_process(config) as base_url:
        command = arguments(tmp_path, base_url, timeout_s=TIMEOUT_S, num_refused=3)
        assert start(corpus, command).wait() == 0
    met = {
        (line["status"], line["prompt"]) for line in read_log(log) if line["event"] == "answered"
    }
    statuses = Counter(status for status, _ in met)
    num_arrived = sum(line["event"] == "arrived" for line in read_log(log))
    num_answered = sum(line["event"] == "answered" for line in read_log(log))
    num_hung = num_arrived - num_answered
    print(f"{num_arrived} requests, {num_hung} hung; prompts by status {statuses}")
    assert (statuses[200], statuses[400]) == (NUM_PROBLEMS - 3, 3)
    assert statuses[429] > 10
    assert statuses[500] > 0
    assert num_hung > 0

    database = connect(Corpus(corpus).parts())
    assert count(database, "select count(distinct problem_id) from raw_rationales") == 597
    assert count(database, "select count(*) from raw_rationales") == 597
    rejected = database.run("select stage, reason, detail from raw_rejections").rows
    said = "HTTP 400: this question is not allowed here"
    assert rejected == [("generate", "refused", said)] * 3
    printed = corpus.with_suffix(".log").read_text()
    assert "3 rejected: refused (generate)" in printed
    assert "litecot sql" in printed
    assert "from stg_rejections" in printed
