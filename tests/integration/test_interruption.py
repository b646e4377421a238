"""Ctrl-C, SIGTERM and a cancelled flow, at whatever moment: one line, and the run can go on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.cli.interruption import INTERRUPTED
from flows.flow_runs import CANCELLED
from flows.flow_runs import INTERRUPTED as INTERRUPTED_STATE
from infra.storage import Corpus
from sql.database import connect
from tests.integration.crash import duplicate_ids, leftovers
from tests.integration.prefect_api import post, runs_of, tasks_of

pytestmark = pytest.mark.usefixtures("prefect_server", "warm_engines")

SMALL = (
    "run", "nano", "--limit", "2", "--set", "shard_size=2", "--set", "generate.num_candidates=2",
    "--set", "train.epochs=1", "--set", "train.num_ranks=1", "--set", "evaluate.limit=2",
)  # fmt: skip
LINE = f"litecot: {INTERRUPTED}\n"
# Random moments: one after it minds signals (importing, planning, starting servers), the others
# after its flow runs (engines loading, asking, training), each up to so many seconds later.
STARTING_S, RUNNING_S = 7.0, 11.0
END_LIMIT_S = 60.0
GONE_WITHIN_S = 15.0
FINISH_LIMIT_S = 400.0
UNENDED = {"RUNNING", "PENDING", "CANCELLING"}
ENGINES = {"RAY_ADDRESS", "RAY_AUTH_MODE", "LITECOT_KEEP_WARM_S"}


@dataclass
class Ended:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str
    seconds: float  # from the signal on
    left: list[str]


class Started:
    """`litecot run` in a session of its own, and all it starts marked by a variable."""

    def __init__(self, corpus: Path, environment: Mapping[str, str]) -> None:
        self._mark = uuid.uuid4().hex
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", "flows.cli.entry", *SMALL, "--corpus", str(corpus)]
        self.process = subprocess.Popen(
            command, stdout=pipe, stderr=pipe, text=True, start_new_session=True,
            env={**environment, "LITECOT_MARK": self._mark},
        )  # fmt: skip

    def wait_until(self, is_due: Callable[[], bool]) -> None:
        deadline = time.monotonic() + FINISH_LIMIT_S
        while self.process.poll() is None and not is_due():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def minds_signals(self) -> bool:
        """Before that it is Python itself that starts."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return False
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
        return bool(int(caught.split()[1], 16) & 1 << (signal.SIGTERM - 1))

    def end(self, limit_s: float = END_LIMIT_S) -> Ended:
        started = time.monotonic()
        try:
            stdout, stderr = self.process.communicate(timeout=limit_s)
        finally:
            self.process.kill()
        seconds = time.monotonic() - started
        deadline = time.monotonic() + GONE_WITHIN_S
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return Ended(self.process.returncode, stdout, stderr, seconds, left)

    def _left(self) -> list[str]:
        found = []
        for process in psutil.process_iter():
            try:
                marked = process.environ().get("LITECOT_MARK") == self._mark
                if marked and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return found


def own_services(folder: Path) -> dict[str, str]:
    """A run that starts a Prefect server and a Ray of its own."""
    kept = {n: v for n, v in os.environ.items() if n not in ENGINES and not n.startswith("PREFECT")}
    return {**kept, "LITECOT_HOME": str(folder / "home")}


def interrupted(started: Started, number: int, *, terminal: bool) -> Ended:
    """By a signal to it alone, or to all of its process group as a terminal's Ctrl-C."""
    if started.process.poll() is None:
        (os.killpg if terminal else os.kill)(started.process.pid, number)
    return started.end()


def test_at_random_moments_then_cancelled_then_to_the_end(
    tmp_path: Path, prefect_server: str
) -> None:
    corpus, rng = tmp_path / "corpus", random.Random(17)
    early, late = (RUNNING_S * (half + rng.random()) / 2 for half in range(2))
    here, apart = dict(os.environ), own_services(tmp_path)
    moments = [(False, rng.uniform(0, STARTING_S), here), (True, early, here), (True, late, apart)]
    for is_running, moment, environment in moments:
        number, terminal = rng.choice([(signal.SIGINT, True), (signal.SIGTERM, False)])
        started = Started(corpus, environment)
        started.wait_until(started.minds_signals)
        if is_running:
            started.wait_until(lambda: b"flow_run" in (corpus / "_lock").read_bytes())
        time.sleep(moment)
        ended = interrupted(started, number, terminal=terminal)
        print(f"{moment:5.2f} s, {is_running=}, {number.name}: after {ended.seconds:.1f} s")
        assert (ended.status, ended.stderr, ended.left) == (130, LINE, []), ended.stdout
    _cancel_while_training(corpus, prefect_server)
    done = Started(corpus, os.environ).end(FINISH_LIMIT_S)
    assert (done.status, done.stderr) == (0, "")
    assert (duplicate_ids(corpus), leftovers(corpus)) == ({}, [])
    with connect(Corpus(corpus).parts()) as database:
        counts = {row["stage"]: row["num_rows"] for row in database.rows_of("funnel").records()}
        ends = [row["status"] for row in database.run("from raw_invocations").records()]
    assert all(counts.values()), counts
    assert ends.count("interrupted") > 1
    assert ends.count("done") == 1
    assert counts["with_candidates"] == 4
    _assert_states(prefect_server, corpus)


def _cancel_while_training(corpus: Path, api: str) -> None:
    """As `prefect flow-run cancel` and the UI do."""
    started = Started(corpus, os.environ)
    started.wait_until(lambda: any(corpus.glob("weights/.*.training/job.json")))
    assert started.process.poll() is None, started.process.communicate()
    cancel(api, runs_of(api, corpus)[-1][0]["id"])
    ended = started.end()
    print(f"cancelled: {ended.status} after {ended.seconds:.1f} s")
    assert (ended.status, ended.stderr, ended.left) == (130, LINE, []), ended.stdout


def cancel(api: str, flow_run_id: str) -> None:
    state = {"type": "CANCELLING", "name": "Cancelling"}
    answer = post(api, f"flow_runs/{flow_run_id}/set_state", state=state)
    assert answer["status"] in {"ACCEPT", "REJECT"}  # or Cancelled at once


def _assert_states(api: str, corpus: Path) -> None:
    """Every run has ended for Prefect too, and says in a line how it goes on."""
    runs = runs_of(api, corpus)
    *before, cancelled, done = runs
    said: list[Any] = [[run["state"]["message"] for run in flow_runs] for flow_runs in before]
    assert said, "no moment fell into a flow"
    assert all(message == INTERRUPTED_STATE for messages in said for message in messages), said
    states = {(run["state_type"], run["state"]["message"]) for run in cancelled}
    assert ("CANCELLED", CANCELLED) in states, states
    assert done[0]["state_type"] == "COMPLETED"
    for flow_runs in runs:
        each = [*flow_runs, *tasks_of(api, flow_runs)]
        assert [run["name"] for run in each if run["state_type"] in UNENDED] == []
