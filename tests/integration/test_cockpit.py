"""Prefect's UI as a cockpit: what a run is called, how it fails, waits, is deployed and cancelled.

The teacher is a server that is no model, so no engine starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.cli.messages import EXIT_FAILED
from flows.flow_runs import CANCELLED
from tests.chat_server import Delay, ServerConfig, serving_in_thread
from tests.integration.prefect_api import Record, asked, post

pytestmark = pytest.mark.usefixtures("prefect_server")

ROOT = Path(__file__).parents[2]
LIMIT_S = 200
CANCELLED_WITHIN_S = 10.0  # the work; Python's own end takes some more on a busy machine
GONE_WITHIN_S = 30.0
NUM_PROBLEMS = 6
RECIPE = """
name = "served"
stages = ["generate"]
models.teacher = { engine = "endpoint", model = "served", endpoint.base_url = "BASE_URL" }
models.student.model = "nano:student"
generate.num_candidates = 1
"""
FLOW = """
import asyncio
from flows.liter import liter
from flows.session import Order
asyncio.run(liter(Order(recipe="served.toml", corpus="CORPUS", problems=("problems.jsonl",))))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With problems, and a recipe once `served` has written it."""
    lines = [json.dumps({"question": f"{n} + 1?", "answer": str(n + 1)}) for n in range(6)]
    (tmp_path / "problems.jsonl").write_text("\n".join(lines))
    return tmp_path


def served(folder: Path, base_url: str) -> None:
    (folder / "served.toml").write_text(RECIPE.replace("BASE_URL", base_url))


def start(folder: Path, corpus: str, code: str | None = None, **more: str) -> subprocess.Popen[str]:
    """`litecot run` on a corpus in `folder`, or `code`."""
    command = [sys.executable, "-P", "-m", "flows.cli.entry", "run", "served.toml"]
    command += ["--problems", "problems.jsonl", "--corpus", corpus]
    return subprocess.Popen(
        command if code is None else [sys.executable, "-P", "-c", code], cwd=folder, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LITECOT_HOME": str(folder / "home"), **more},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run_of(api: str, tag: str) -> Record:
    """The latest flow run with that tag."""
    found = asked(api, "flow_runs", flow_runs={"tags": {"all_": [tag]}}, sort="START_TIME_DESC")
    return found[0]


def log_of(api: str, flow_run: Record) -> list[str]:
    """Prefect gets its lines in batches; the last one is of the run's end."""
    deadline = time.monotonic() + 30
    while True:
        wanted = {"flow_run_id": {"any_": [flow_run["id"]]}}
        lines = [each["message"] for each in asked(api, "logs", logs=wanted, sort="TIMESTAMP_ASC")]
        if lines and lines[-1].startswith(("Finished", "failed: ")):
            return lines
        assert time.monotonic() < deadline, lines
        time.sleep(0.5)


def wait_until(is_due: Callable[[], Any], limit_s: float = LIMIT_S) -> float:
    """Seconds that took."""
    started = time.monotonic()
    while not is_due():
        assert time.monotonic() - started < limit_s
        time.sleep(0.1)
    return time.monotonic() - started


def test_a_run_that_fails_says_why_in_one_line(folder: Path, prefect_server: str) -> None:
    corpus = f"failing-{uuid.uuid4().hex}"
    with serving_in_thread(ServerConfig(api_key="another")) as teacher:
        served(folder, teacher.base_url)
        process = start(folder, corpus, OPENAI_API_KEY="wrong")
        _, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == EXIT_FAILED
    assert said.count("\n") == 1
    line = said.removeprefix("litecot: ").strip()
    flow_run = run_of(prefect_server, f"corpus:{corpus}")
    assert (flow_run["state_type"], flow_run["state"]["message"]) == ("FAILED", line)
    assert flow_run["name"].startswith("liter served, problems.jsonl · run ")
    assert set(flow_run["tags"]) == {"served", f"corpus:{corpus}"}
    lines = log_of(prefect_server, flow_run)
    assert lines[-1] == f"failed: {line}"
    assert "generate, shard 0: 6 records to do" in lines
    assert "Traceback" not in "\n".join(lines)
    inside = {"parent_flow_run_id": {"any_": [flow_run["id"]]}}
    assert asked(prefect_server, "flow_runs", flow_runs=inside) == []  # one row a run


def test_runs_of_a_corpus_and_of_a_pool_take_turns(folder: Path, prefect_server: str) -> None:
    ours, other = f"ours-{uuid.uuid4().hex}", f"other-{uuid.uuid4().hex}"
    pool = {"LITECOT_GPU_POOL": f"pool-{uuid.uuid4().hex}", "LITECOT_IN_FLIGHT": "1"}
    with serving_in_thread(ServerConfig(delay=Delay(fixed_s=2.0))) as teacher:
        served(folder, teacher.base_url)
        first = start(folder, ours, **pool)
        wait_until(lambda: teacher.asked)
        second = start(folder, ours, FLOW.replace("CORPUS", ours), **pool)
        third = start(folder, other, **pool)
        for process in (first, second, third):
            said = process.communicate(timeout=LIMIT_S)
            assert process.returncode == 0, said
        assert len(teacher.asked) == 2 * NUM_PROBLEMS  # the second found all done
        assert teacher.most_in_flight == 1
    lines = log_of(prefect_server, run_of(prefect_server, f"corpus:{ours}"))
    waited = next(line for line in lines if line.startswith("waits for its turn: "))
    assert f"{ours}: is being written by process {first.pid} on " in waited
    assert "generate, shard 0: all was found done" in lines
    lines = log_of(prefect_server, run_of(prefect_server, f"corpus:{other}"))
    name = pool["LITECOT_GPU_POOL"]
    assert f"waits for its turn: GPU pool {name!r} takes 1 run at a time" in lines


@contextmanager
def worker(folder: Path, pool: str, mark: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type"]
    process = subprocess.Popen(
        [*command, "process"], cwd=folder, stdout=(folder / "worker.log").open("wb"),
        stderr=subprocess.STDOUT,
        env={**os.environ, "LITECOT_MARK": mark, "PREFECT_WORKER_QUERY_SECONDS": "2"},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def processes_of(mark: str, worker_pid: int) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != worker_pid and process.environ().get("LITECOT_MARK") == mark:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


@pytest.mark.timeout(600)
def test_deployed_with_a_form_then_cancelled_then_run_to_the_end(
    folder: Path, prefect_server: str
) -> None:
    """What prefect.yaml deploys, as a person does, a worker, and the UI's buttons."""
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    pool, mark, corpus = "litecot", uuid.uuid4().hex, str(folder / "corpus")
    subprocess.run(
        [*prefect, "work-pool", "create", pool, "--type", "process", "--overwrite"],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    subprocess.run([*prefect, "deploy", "--all"], check=True, capture_output=True, cwd=ROOT)
    deployments = {each["name"]: each for each in asked(prefect_server, "deployments")}
    assert {"nightly", "weekly", "nano", "liter-7b"} <= set(deployments)
    assert_form(deployments["nano"]["parameter_openapi_schema"])
    nightly = deployments["nightly"]
    assert [each["schedule"]["cron"] for each in nightly["schedules"]] == ["0 2 * * *"]
    with (
        serving_in_thread(ServerConfig(delay=Delay(fixed_s=1.0))) as teacher,
        worker(folder, pool, mark) as process,
    ):
        served(folder, teacher.base_url)
        job = {"env": {"LITECOT_IN_FLIGHT": "1"}}
        order = {"recipe": str(folder / "served.toml"), "corpus": corpus}
        order["problems"] = [str(folder / "problems.jsonl")]  # type: ignore[assignment]
        create = f"deployments/{nightly['id']}/create_flow_run"
        started = post(prefect_server, create, parameters={"order": order}, job_variables=job)
        wait_until(lambda: len(teacher.asked) > 1)
        wish = {"type": "CANCELLING", "name": "Cancelling"}
        post(prefect_server, f"flow_runs/{started['id']}/set_state", state=wish)

        def now() -> Record:
            wanted = {"id": {"any_": [started["id"]]}}
            return asked(prefect_server, "flow_runs", flow_runs=wanted)[0]

        took_s = wait_until(lambda: now()["state_type"] == "CANCELLED")
        assert now()["state"]["message"] == CANCELLED
        gone_s = wait_until(lambda: not processes_of(mark, process.pid))
        print(f"cancelled within {took_s:.1f} s, no process {gone_s:.1f} s later")
        assert took_s < CANCELLED_WITHIN_S
        assert gone_s < GONE_WITHIN_S
        again = post(prefect_server, create, parameters={"order": order}, job_variables=job)

        def is_done() -> bool:
            wanted = {"id": {"any_": [again["id"]]}}
            (run,) = asked(prefect_server, "flow_runs", flow_runs=wanted)
            assert run["state_type"] not in {"FAILED", "CRASHED"}, run["state"]
            return bool(run["state_type"] == "COMPLETED")

        wait_until(is_done)
        assert len(teacher.asked) <= NUM_PROBLEMS + 1  # what was in flight at the cancellation


def assert_form(schema: Record) -> None:
    """Every stage's settings, with the recipe's defaults, choices and words."""
    fields = schema["properties"]
    assert set(fields) == {"corpus", "problems", "limit", "seed", "settings", "other_changes"}
    assert all(field.get("description") for field in fields.values()), fields
    tables = schema["definitions"]
    generate = tables["Generate"]["properties"]
    assert generate["num_candidates"]["default"] == 4
    assert generate["num_candidates"]["description"] == "chains asked for a problem"
    assert generate["temperature"]["default"] == 1.2  # nano's own, not the stage's
    assert tables["Difficulty"]["properties"]["thresholds"]["enum"] == ["fixed", "quantile"]
    places = [field["position"] for field in tables["Settings"]["properties"].values()]
    assert sorted(places) == list(range(len(places)))
    assert sorted(each["position"] for each in generate.values()) == list(range(len(generate)))
    for table in tables.values():
        for name, field in table.get("properties", {}).items():
            assert field.get("description"), name
