"""A recipe whose teacher sits at an endpoint, run over a real corpus: rows, what is paid, keys."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from flows.recipes.loading import load_recipe
from flows.recipes.plan import run_plan
from infra.engines.endpoint.refusals import EndpointError
from infra.runs.intake import Intake, take_in
from infra.runs.run import Run
from infra.runs.runner import run_stage
from infra.settings import Settings
from tests.chat_server import Fault, ServerConfig, read_log, serving_in_thread

KEY = "sk-never-to-be-seen"
NUM_PROBLEMS = 40
RECIPE = """
name = "sums"
stages = ["generate"]
shard_size = 20
[models.teacher]
engine = "endpoint"
model = "m"
max_in_flight = 8
[models.teacher.endpoint]
base_url = "{base_url}"
api_key_env = "LITECOT_TEST_KEY"
[models.student]
model = "nano:student"
[generate]
num_candidates = 2
max_tokens = 64
"""


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITECOT_TEST_KEY", KEY)


class Factory:
    """One corpus, and invocations on it that ask one server."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self.corpus = folder / "corpus"
        self.recipe = folder / "sums.toml"
        self.recipe.write_text(RECIPE.format(base_url=base_url))
        self.problems = folder / "problems.jsonl"
        lines = [
            {"question": f"What is 2 + 2? ({number})", "answer": "4"}
            for number in range(NUM_PROBLEMS)
        ]
        self.problems.write_text("\n".join(map(json.dumps, lines)))

    def go(self, query: str) -> list[tuple[object, ...]]:
        """One invocation of the stage 'generate', and what a query finds afterwards."""
        recipe = load_recipe(str(self.recipe), problems=[str(self.problems)])
        intake = Intake(
            problems=recipe.problems, eval_problems=(), source=recipe.source, limit=None,
            eval_limit=None, shard_size=recipe.shard_size,
        )  # fmt: skip
        with Run(run_plan(recipe), corpus=self.corpus, settings=Settings(max_attempts=8)) as run:
            take_in(run, intake, lambda num_done: None)
            asyncio.run(run_stage(run, "generate"))
            return run.database().run(query).rows

    def holds(self, text: str) -> list[Path]:
        """Files of the corpus with `text` in them."""
        files = (path for path in self.corpus.rglob("*") if path.is_file())
        return [path for path in files if text.encode() in path.read_bytes()]


def test_rows_say_where_they_come_from_and_what_they_cost(tmp_path: Path) -> None:
    config = ServerConfig(api_key=KEY, log=str(tmp_path / "asked.jsonl"))
    with serving_in_thread(config) as server:
        factory = Factory(tmp_path, server.base_url)
        summary = (
            "select engine, model, verdict, count(*), sum(completion_tokens), max(latency_s) > 0"
            " from raw_rationales group by all"
        )
        first = factory.go(summary)
        again = factory.go(summary)
    assert first == [("endpoint", "m", "correct", 2 * NUM_PROBLEMS, 18 * NUM_PROBLEMS, True)]
    assert again == first
    asked = [line for line in read_log(tmp_path / "asked.jsonl") if line["event"] == "arrived"]
    assert len(asked) == len({line["prompt"] for line in asked}) == NUM_PROBLEMS  # once, ever
    assert {line["n"] for line in asked} == {2}
    assert factory.holds("What is 2 + 2?")
    assert factory.holds(KEY) == []


def test_faults_cost_tries_and_refused_records_are_rejected_with_the_reason(tmp_path: Path) -> None:
    faults = (
        Fault(kind="400", marker="(7)", message="content policy"),
        Fault(kind="429", share=0.3, times=1, retry_after_s=0.01),
        Fault(kind="reset", share=0.3, times=1),
        Fault(kind="malformed_json", share=0.3, times=1),
    )
    with serving_in_thread(ServerConfig(faults=faults, log=str(tmp_path / "log"))) as server:
        factory = Factory(tmp_path, server.base_url)
        rejected = factory.go("select reason, detail from raw_rejections")
        made = factory.go("select count(*), count(distinct problem_id) from raw_rationales")
    assert rejected == [("refused", "HTTP 400: content policy")]
    assert made == [(2 * (NUM_PROBLEMS - 1), NUM_PROBLEMS - 1)]
    good = [line["prompt"] for line in read_log(tmp_path / "log") if line["status"] == 200]
    assert len(set(good)) == NUM_PROBLEMS - 1


def test_a_wrong_key_stops_the_stage_and_rejects_no_record(tmp_path: Path) -> None:
    with serving_in_thread(ServerConfig(api_key="another")) as server:
        factory = Factory(tmp_path, server.base_url)
        with pytest.raises(EndpointError) as caught:
            factory.go("select 1")
        assert server.arrived.total() <= 8  # those in flight before it was known
    assert "refuses the key from the environment variable LITECOT_TEST_KEY" in str(caught.value)
    assert KEY not in str(caught.value)
    with serving_in_thread(ServerConfig(api_key=KEY, port=_port(server.base_url))):
        counts = (
            "select (select count(*) from raw_rationales), (select count(*) from raw_rejections)"
        )
        assert factory.go(counts) == [(2 * NUM_PROBLEMS, 0)]
    assert factory.holds(KEY) == []


def _port(base_url: str) -> int:
    return int(base_url.rsplit(":", 1)[1].removesuffix("/v1"))
