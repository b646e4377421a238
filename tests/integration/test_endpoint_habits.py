"""Servers of different habits, asked over a real corpus: every usable reply is a row, none is paid
for twice, every refusal has its reason. What was usable is the server's account, not ours.

With more records, and vLLM's own server beside them, and figures (docs/endpoints.md):
    BENCH_RECORDS=2000 python -m pytest -s -k habits tests/integration
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections import Counter
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest

from flows.recipes.loading import load_recipe
from flows.recipes.plan import run_plan
from infra.engines.endpoint.parameters import LOGGER
from infra.runs.intake import Intake, take_in
from infra.runs.run import Run
from infra.runs.runner import run_stage
from infra.settings import Settings
from tests.chat_server import ServerConfig, serving_in_thread
from tests.odd_servers import REFUSALS, REFUSED, CountingServer, SloppyServer, StrictServer

NUM_RECORDS = int(os.environ.get("BENCH_RECORDS", "300"))
NUM_CANDIDATES = 3
REFUSED_EVERY = 20  # one record in so many
IN_FLIGHT = 64
RECIPE = """
name = "habits"
stages = ["generate"]
[models.teacher]
engine = "endpoint"
model = "{model}"
[models.teacher.endpoint]
base_url = "{base_url}"
api_key_env = "LITECOT_TEST_NO_KEY"
[models.student]
model = "nano:student"
[generate]
num_candidates = {num_candidates}
max_tokens = {max_tokens}
{more}
[hygiene]
near_duplicates = false
"""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a corpus holds after a run: rows by question, rejections, and the time it took."""

    rows: dict[str, int]
    rejected: dict[str, tuple[str, str]]  # question -> reason, detail
    ends: Counter[str]  # finish reasons
    verdicts: Counter[str]
    seconds: float


def run_over(
    folder: Path, base_url: str, problems: list[dict[str, str]], *, model: str = "m",
    num_candidates: int = NUM_CANDIDATES, max_tokens: int = 200, more: str = "",
) -> Outcome:  # fmt: skip
    """Run the stage `generate` over a new corpus in `folder`."""
    recipe_file, file = folder / "habits.toml", folder / "problems.jsonl"
    recipe_file.write_text(
        RECIPE.format(
            base_url=base_url, model=model, num_candidates=num_candidates, max_tokens=max_tokens,
            more=more,
        )
    )  # fmt: skip
    file.write_text("\n".join(map(json.dumps, problems)))
    recipe = load_recipe(str(recipe_file), problems=[str(file)])
    intake = Intake(
        problems=recipe.problems, eval_problems=(), source=recipe.source, limit=None,
        eval_limit=None, shard_size=len(problems),
    )  # fmt: skip
    settings = Settings(max_attempts=8, in_flight=IN_FLIGHT)
    with Run(run_plan(recipe), corpus=folder / "corpus", settings=settings) as run:
        take_in(run, intake, lambda num_done: None)
        started = time.monotonic()
        asyncio.run(run_stage(run, "generate"))
        seconds = time.monotonic() - started
        query = run.database().run
        made = query(
            "select question, finish_reason, verdict from raw_rationales "
            "join raw_problems using (problem_id)"
        ).rows
        rejected = query(
            "select question, reason, detail from raw_rejections "
            "join raw_problems using (problem_id)"
        ).rows
    return Outcome(
        rows=dict(Counter(str(question) for question, _, _ in made)),
        rejected={str(question): (str(why), str(said)) for question, why, said in rejected},
        ends=Counter(str(end) for _, end, _ in made),
        verdicts=Counter(str(verdict) for _, _, verdict in made),
        seconds=seconds,
    )


def questions(*, refused: bool) -> list[dict[str, str]]:
    """NUM_RECORDS sums; every REFUSED_EVERY-th says how the sloppy server refuses it."""
    ways = cycle(REFUSALS)
    marks = ["" if number % REFUSED_EVERY or not refused else f" {REFUSED.format(next(ways))}"
             for number in range(1, NUM_RECORDS + 1)]  # fmt: skip
    return [
        {"question": f"What is 3 + 4, asked for the {number}th time?{mark}", "answer": "7"}
        for number, mark in enumerate(marks)
    ]


def check_account(server: CountingServer, outcome: Outcome, num_refused: int) -> None:
    """The server's account against the corpus: as many usable choices as rows, record by record."""
    num_answered = NUM_RECORDS - num_refused
    assert set(outcome.rows.values()) == {NUM_CANDIDATES}
    assert len(outcome.rows) == num_answered
    paid = Counter(times for times in server.usable.values() if times)
    assert paid == {NUM_CANDIDATES: num_answered}  # usable choices a record: none twice, none lost


def test_habits_of_a_strict_server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.WARNING, LOGGER),
        serving_in_thread(ServerConfig(), make=StrictServer) as server,
    ):
        assert isinstance(server, StrictServer)
        outcome = run_over(tmp_path, server.base_url, questions(refused=False))
    check_account(server, outcome, 0)
    assert outcome.rejected == {}
    assert outcome.verdicts == {"correct": NUM_RECORDS * NUM_CANDIDATES}
    num_refusals = server.kinds.total() - server.kinds["answered"]
    assert 3 <= num_refusals <= 3 * IN_FLIGHT  # those in flight before it was known
    said = sorted(line.split(": ", 1)[1].split()[0] for line in caplog.messages)
    assert said == ["candidates", "seed", "top_p"]  # once each
    print(f"strict: {NUM_RECORDS} records, {outcome.seconds:.1f} s, {dict(server.kinds)}")


def test_habits_of_a_sloppy_server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked = questions(refused=True)
    refused = [problem["question"] for problem in asked if "[refused" in problem["question"]]
    with (
        caplog.at_level(logging.WARNING, LOGGER),
        serving_in_thread(ServerConfig(seed=5), make=SloppyServer) as server,
    ):
        assert isinstance(server, SloppyServer)
        outcome = run_over(tmp_path, server.base_url, asked)
        num_requests = server.arrived.total()
    check_account(server, outcome, len(refused))
    assert set(outcome.rejected) == set(refused)
    for question, (reason, detail) in outcome.rejected.items():
        is_long = "[refused: too" in question
        assert reason == ("prompt_too_long" if is_long else "refused")
        assert detail.startswith("HTTP ")
    assert set(outcome.ends) == {"stop", "length", "content_filter", "eureka"}
    assert caplog.text.count("nobody knows what finish_reason 'eureka' means") == 1
    faults = num_requests - len(server.usable)
    print(f"sloppy: {NUM_RECORDS} records, {len(refused)} refused, {num_requests} requests "
          f"({len(server.kinds)} kinds of reply), {outcome.seconds:.1f} s; "
          f"{outcome.ends.total()} rows, {dict(outcome.ends)}, "
          f"{faults} requests more than records")  # fmt: skip
