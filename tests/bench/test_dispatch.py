"""The runner against the least a client can do: bare aiohttp that writes JSON lines.

Both are processes of their own, ask the same server process the same prompts in the same run, and
leave their results on disk. Time is the server's: from the first request to the last answer.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.bench.runner_client import (
    REPLY,
    num_stored,
    prepare,
    write_problems,
    write_prompts,
    write_recipe,
)
from tests.chat_server import Delay, ServerConfig, read_log, serving_in_process

NUM_REQUESTS = int(os.environ.get("BENCH_REQUESTS", "2000"))
IN_FLIGHT = 256
ROOT = Path(__file__).parent.parent.parent
PARITY = 1.05  # of the bare client's time
WHOLE_RUN = 1.1  # the same of `litecot run`, from its first request to its last answer
CPU_GOAL = 2.0  # times the bare client's; not reached, see docs/benchmarks.md
CPU_RATIO = 4.0  # what would be a regression


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one client took. `seconds` by the server's log; `cpu_s` and `mib` of the whole tree."""

    seconds: float
    cpu_s: float
    mib: float


class Bench:
    """One server and two clients."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self.folder, self.base_url = folder, base_url
        write_prompts(folder / "prompts.jsonl", NUM_REQUESTS)

    def bare(self) -> Cost:
        replies = self.folder / "replies.jsonl"
        prompts = self.folder / "prompts.jsonl"
        cost = self._run("tests.bench.bare_client", self.base_url, prompts, replies, IN_FLIGHT)
        assert len(replies.read_text().splitlines()) == NUM_REQUESTS
        return cost

    def runner(self) -> Cost:
        corpus = self.folder / f"corpus-{time.time_ns()}"
        prepare(corpus, NUM_REQUESTS)
        cost = self._run("tests.bench.runner_client", self.base_url, corpus, IN_FLIGHT)
        assert num_stored(corpus) == NUM_REQUESTS
        return cost

    def litecot(self) -> Cost:
        """The command, ingest and Prefect's temporary server included."""
        recipe = self.folder / "bench.toml"
        write_recipe(recipe, self.base_url, max_in_flight=IN_FLIGHT)
        problems = self.folder / "problems.jsonl"
        write_problems(problems, NUM_REQUESTS)
        corpus = self.folder / f"litecot-{time.time_ns()}"
        return self._run(
            "flows.cli.main", "run", recipe, "--corpus", corpus, "--problems", problems
        )

    def _run(self, module: str, *arguments: object) -> Cost:
        log = self.folder / "asked.jsonl"
        seen = len(read_log(log)) if log.exists() else 0
        command = [sys.executable, "-m", module, *map(str, arguments)]
        with (self.folder / "client.log").open("ab") as output:
            process = psutil.Popen(
                command, cwd=ROOT, env=self._environment(), stdout=output, stderr=output
            )
            pid, mib = 0, 0.0
            while not pid:
                mib = max(mib, _resident_mib(process))
                time.sleep(0.05)
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        assert status == 0, (self.folder / "client.log").read_text()[-4000:]
        lines = read_log(log)[seen:]
        answered = [line["time"] for line in lines if line["event"] == "answered"]
        arrived = [line["time"] for line in lines if line["event"] == "arrived"]
        assert len(answered) == len(arrived) == NUM_REQUESTS
        return Cost(
            seconds=max(answered) - min(arrived),
            cpu_s=usage.ru_utime + usage.ru_stime,
            mib=mib,
        )

    def _environment(self) -> dict[str, str]:
        """As where it is installed: modules are compiled once, by the first round."""
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(self.folder / "pyc")}
        return os.environ | compiled | {"LITECOT_HOME": str(self.folder / "home")}


def _resident_mib(root: psutil.Process) -> float:
    """Of a process and its children, now."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / 2**20


def best(measure: Callable[[], Cost], rounds: int = 2) -> Cost:
    """The least of each figure: what other work on the machine adds is left out."""
    costs = [measure() for _ in range(rounds)]
    return Cost(
        seconds=min(cost.seconds for cost in costs),
        cpu_s=min(cost.cpu_s for cost in costs),
        mib=min(cost.mib for cost in costs),
    )


def show(title: str, costs: dict[str, Cost]) -> None:
    """A table, the bare client first."""
    bare = costs["bare aiohttp"]
    print(f"\n{title}: {NUM_REQUESTS} requests, {IN_FLIGHT} in flight")
    print(f"  {'client':<16}{'seconds':>9}{'ratio':>7}{'CPU s':>8}{'ratio':>7}{'MiB':>7}")
    for name, cost in costs.items():
        print(
            f"  {name:<16}{cost.seconds:>9.3f}{cost.seconds / bare.seconds:>7.3f}"
            f"{cost.cpu_s:>8.2f}{cost.cpu_s / bare.cpu_s:>7.2f}{cost.mib:>7.0f}"
        )


DELAYS = {
    "fixed 200 ms": Delay(fixed_s=0.2),
    "log-normal, median 200 ms, p99 4 s": Delay(median_s=0.2, p99_s=4.0),
}


@pytest.mark.parametrize("name", DELAYS)
def test_slow_replies_take_as_long_as_they_must(tmp_path: Path, name: str) -> None:
    config = ServerConfig(reply=REPLY, delay=DELAYS[name], log=str(tmp_path / "asked.jsonl"))
    with serving_in_process(config) as base_url:
        bench = Bench(tmp_path, base_url)
        costs = {"bare aiohttp": best(bench.bare), "runner": best(bench.runner)}
        costs["litecot run"] = best(bench.litecot)
    show(name, costs)
    assert costs["runner"].seconds <= PARITY * costs["bare aiohttp"].seconds
    assert costs["litecot run"].seconds <= WHOLE_RUN * costs["bare aiohttp"].seconds


def test_cpu_of_a_request(tmp_path: Path) -> None:
    config = ServerConfig(reply=REPLY, log=str(tmp_path / "asked.jsonl"))
    with serving_in_process(config) as base_url:
        bench = Bench(tmp_path, base_url)
        costs = {"bare aiohttp": best(bench.bare), "runner": best(bench.runner)}
        costs["litecot run"] = bench.litecot()
    show("no delay", costs)
    print(f"  goal for the runner's CPU: {CPU_GOAL}")
    ratio = costs["runner"].cpu_s / costs["bare aiohttp"].cpu_s
    assert ratio <= CPU_RATIO
    if ratio > CPU_GOAL:
        pytest.xfail(f"CPU of a request is {ratio:.2f} times the bare client's, goal {CPU_GOAL}")
