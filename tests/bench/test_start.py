"""From the command to its first request, beside a Prefect flow of one task that asks once.

Both are commands of their own against the same chat server, in turns, in three surroundings: a home
that has never seen a run, one that has, and a standing Prefect server. The moment of the request
is the server's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.runner_client import write_problems, write_recipe
from tests.chat_server import ServerConfig, read_log, serving_in_process

ROUNDS = int(os.environ.get("BENCH_START_ROUNDS", "3"))
ROOT = Path(__file__).parent.parent.parent
GOALS_S = {"new home": 10.0, "known home": 6.0, "standing server": 4.0}
RATIO = 4.0  # of the bare flow's; more would be a regression


class Bench:
    """A chat server, and the two commands."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self.folder, self.base_url = folder, base_url
        write_recipe(folder / "bench.toml", base_url)
        write_problems(folder / "problems.jsonl", 1)

    def litecot(self, home: Path, api: str | None = None) -> float:
        """Seconds to the first request; a corpus of its own each time."""
        corpus = tempfile.mkdtemp(dir=self.folder)
        return self._run(
            ["flows.cli.main", "run", "bench.toml", "--corpus", f"{corpus}/corpus", "--problems",
             "problems.jsonl"],
            {"LITECOT_HOME": str(home), "PREFECT_HOME": str(home / "prefect")}, api,
        )  # fmt: skip

    def bare(self, home: Path, api: str | None = None) -> float:
        """The same of the bare flow."""
        quiet = {"PREFECT_LOGGING_LEVEL": "ERROR", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        return self._run(
            ["tests.bench.bare_flow", self.base_url],
            {"PREFECT_HOME": str(home), "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180"}
            | quiet,
            api,
        )  # fmt: skip

    def _run(self, arguments: list[str], environment: dict[str, str], api: str | None) -> float:
        log = self.folder / "asked.jsonl"
        seen = len(read_log(log)) if log.exists() else 0
        path = {"PYTHONPATH": str(ROOT), "PREFECT_API_URL": api or ""}
        environment = os.environ | path | environment | {"PYTHONDONTWRITEBYTECODE": ""}
        if not api:
            del environment["PREFECT_API_URL"]
        began = time.time()
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=self.folder, env=environment,
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        first = read_log(log)[seen]
        assert first["event"] == "arrived"
        return float(first["time"]) - began


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("start")
    with serving_in_process(ServerConfig(log=str(folder / "asked.jsonl"))) as base_url:
        yield Bench(folder, base_url)


def test_to_the_first_request(bench: Bench) -> None:
    """In turns; the least of the rounds."""
    from flows.server.temporary import TemporaryServer

    seconds: dict[str, dict[str, list[float]]] = {where: {} for where in GOALS_S}
    commands = {"bare flow": bench.bare, "litecot": bench.litecot}
    for number in range(ROUNDS):
        for name, command in commands.items():
            home = bench.folder / f"{name}-{number}"
            seconds["new home"].setdefault(name, []).append(command(home))
            seconds["known home"].setdefault(name, []).append(command(home))
    server = TemporaryServer()
    try:
        api = server.address()[1]
        os.environ["PREFECT_API_URL"] = api
        server.wait()
        for _ in range(ROUNDS):
            for name, command in commands.items():
                found = command(bench.folder / f"{name}-0", api)
                seconds["standing server"].setdefault(name, []).append(found)
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        server.stop()
    print(f"\nseconds to the first request, the least of {ROUNDS}")
    print(f"  {'':<18}{'bare flow':>10}{'litecot':>9}{'ratio':>7}{'goal':>7}")
    for where, goal in GOALS_S.items():
        bare, ours = (min(seconds[where][name]) for name in commands)
        print(f"  {where:<18}{bare:>10.2f}{ours:>9.2f}{ours / bare:>7.2f}{goal:>7.1f}")
        assert ours / bare < RATIO
