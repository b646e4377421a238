"""`make ui`: with a key or without, on a file or on PostgreSQL, gone with whoever started it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import urllib3

from flows.cli.messages import EXIT_FAILED
from tests.chat_server import ServerConfig, serving_in_thread
from tests.integration.prefect_api import asked
from tests.postgres import binaries, postgres

ROOT = Path(__file__).parents[2]
LIMIT_S = 150
GONE_WITHIN_S = 15.0
SCHEDULED_WITHIN_S = 60.0
KEY = "admin:a key"
RECIPE = """
name = "served"
stages = ["generate"]
models.teacher = { engine = "endpoint", model = "served", endpoint.base_url = "BASE_URL" }
models.student.model = "nano:student"
generate.num_candidates = 1
"""


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**kept, "LITECOT_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT), **more}


@contextmanager
def standing(folder: Path, **more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`make ui` in a home of its own, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "flows.server.standing"], cwd=folder, text=True,
        env=environment(folder, LITECOT_UI_PORT=str(port), **more), stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith(f"Prefect UI: http://127.0.0.1:{port} ("), said
        yield process, said
    finally:
        process.kill()
        process.wait()


def run(folder: Path, base_url: str, **more: str) -> subprocess.CompletedProcess[str]:
    (folder / "served.toml").write_text(RECIPE.replace("BASE_URL", base_url))
    lines = [json.dumps({"question": f"{n} + 1?", "answer": str(n + 1)}) for n in range(3)]
    (folder / "problems.jsonl").write_text("\n".join(lines))
    command = [sys.executable, "-P", "-m", "flows.cli.entry", "run", "served.toml"]
    return subprocess.run(
        [*command, "--problems", "problems.jsonl"], cwd=folder, env=environment(folder, **more),
        capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip


def flow_runs(folder: Path, key: str | None = None) -> list[dict[str, Any]]:
    api = (folder / "home" / "server.url").read_text()
    headers = urllib3.make_headers(basic_auth=key) if key else {}
    return asked(api, "flow_runs", headers=headers)


def deploy(folder: Path, name: str, **more: str) -> None:
    api = (folder / "home" / "server.url").read_text()
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    for command in (["work-pool", "create", "litecot", "--type", "process"],
                    ["deploy", "--name", name]):  # fmt: skip
        subprocess.run(
            [*prefect, *command], check=True, capture_output=True, cwd=ROOT, timeout=LIMIT_S,
            env=environment(folder, PREFECT_API_URL=api, **more),
        )  # fmt: skip


def wait_for_schedule(folder: Path, key: str) -> None:
    """The server makes the runs of a schedule by itself; under SQLAlchemy 2.1 it failed to."""
    deadline = time.monotonic() + SCHEDULED_WITHIN_S
    while not any(each["state_type"] == "SCHEDULED" for each in flow_runs(folder, key)):
        assert time.monotonic() < deadline, "no run was scheduled"
        time.sleep(0.5)


def assert_gone(processes: list[psutil.Process]) -> None:
    assert processes
    _, alive = psutil.wait_procs(processes, timeout=GONE_WITHIN_S)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.timeout(600)
def test_a_server_with_a_key_is_gone_with_a_killed_make_ui(tmp_path: Path) -> None:
    with (
        serving_in_thread(ServerConfig()) as teacher,
        standing(tmp_path, PREFECT_SERVER_API_AUTH_STRING=KEY) as (process, said),
    ):
        assert f"its database is in {tmp_path / 'home' / 'prefect'}" in said
        refused = run(tmp_path, teacher.base_url)
        assert refused.returncode == EXIT_FAILED
        assert refused.stderr.startswith("litecot: the Prefect server at http://127.0.0.1:")
        assert refused.stderr.endswith("/api wants a key: set PREFECT_API_AUTH_STRING\n")
        wrong = run(tmp_path, teacher.base_url, PREFECT_API_AUTH_STRING="admin:another")
        assert "refuses the key in PREFECT_API_AUTH_STRING: set it anew" in wrong.stderr
        done = run(tmp_path, teacher.base_url, PREFECT_API_AUTH_STRING=KEY)
        assert (done.returncode, done.stderr) == (0, "")
        (found,) = flow_runs(tmp_path, KEY)
        assert found["name"].startswith("liter served, problems.jsonl · run ")
        assert set(found["tags"]) == {"served", "corpus:corpus"}
        assert found["state_type"] == "COMPLETED"
        deploy(tmp_path, "nightly", PREFECT_API_AUTH_STRING=KEY)
        wait_for_schedule(tmp_path, KEY)
        servers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        assert_gone(servers)


@pytest.mark.timeout(600)
@pytest.mark.skipif(binaries() is None, reason="no PostgreSQL is installed here")
def test_a_server_on_postgresql_keeps_its_runs_there(tmp_path: Path) -> None:
    with (
        serving_in_thread(ServerConfig()) as teacher,
        postgres() as url,
        standing(tmp_path, PREFECT_API_DATABASE_CONNECTION_URL=url) as (process, said),
    ):
        assert said.endswith("(its database is postgresql at 127.0.0.1, postgres)\n")
        done = run(tmp_path, teacher.base_url)
        assert (done.returncode, done.stderr) == (0, "")
        (found,) = flow_runs(tmp_path)
        assert found["state_type"] == "COMPLETED"
        assert not (tmp_path / "home" / "prefect" / "prefect.db").exists()
        servers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        assert process.wait(GONE_WITHIN_S) == 0
        assert time.monotonic() - started < GONE_WITHIN_S
        assert_gone(servers)
        assert not (tmp_path / "home" / "server.url").exists()
