"""A signal at any moment: one line, the last on stderr, status 130, and nobody stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.cli.interruption import INTERRUPTED
from flows.cli.messages import EXIT_INTERRUPTED

LINE = f"litecot: {INTERRUPTED}\n"
ROOT = Path(__file__).parents[2]
LIMIT_S = 30
START = """
import sys, threading, time
from flows.cli.interruption import cleaning_up, end_interrupted, guard, run_interruptibly
guard()
"""
READY = "print('ready', flush=True)\n"
IMPORTING = START + READY + "import time; time.sleep(60)"
LATE_WORDS = """
import atexit
atexit.register(lambda: print("a library's last words", file=sys.stderr))
"""
HELD_BY_A_THREAD = """
import duckdb
def hold():
    connection = duckdb.connect()
    cursor = connection.execute("from range(100000)")
    cursor.fetchmany(3)
    time.sleep(60)
threading.Thread(target=hold, daemon=True).start()
"""
FLOW = """
import asyncio
async def flow():
    print("ready", flush=True)
    try:
        await asyncio.sleep(60)
    finally:
        print("saved", flush=True)
        time.sleep(CLEAN_UP_S)
try:
    run_interruptibly(flow)
except KeyboardInterrupt:
    end_interrupted()
"""
FORK = (
    START
    + """
import os
if not os.fork():
    print(os.getpid(), flush=True)  # by itself: what comes before it is up, Python drops
time.sleep(60)
"""
)
FILES = (
    START
    + """
with cleaning_up():
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("taken away", flush=True)
        end_interrupted()
"""
)


def started(code: str) -> tuple[subprocess.Popen[str], str]:
    """A process that runs `code`, and the first line that it printed."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=pipe, stderr=pipe, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def interrupted(code: str, *numbers: signal.Signals) -> tuple[int, str, str]:
    """Status, what it printed after the first line, and stderr."""
    process, _ = started(code)
    with process:
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.3 if len(numbers) > 1 else 0)
        stdout, stderr = process.communicate(timeout=LIMIT_S)
    return process.returncode, stdout, stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_before_anything_runs_it_ends_at_once(number: signal.Signals) -> None:
    assert interrupted(IMPORTING, number) == (EXIT_INTERRUPTED, "", LINE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_flow_cleans_up_and_the_line_is_the_last(number: signal.Signals) -> None:
    """Behind other exit handlers, and in place of DuckDB's pages about what a thread holds."""
    code = START + LATE_WORDS + HELD_BY_A_THREAD + FLOW.replace("CLEAN_UP_S", "0.3")
    status, stdout, stderr = interrupted(code, number)
    assert (status, stdout) == (EXIT_INTERRUPTED, "saved\n")
    assert stderr == "a library's last words\n" + LINE


def test_a_second_signal_waits_for_nothing() -> None:
    begun = time.monotonic()
    code = START + FLOW.replace("CLEAN_UP_S", "60")
    assert interrupted(code, signal.SIGINT, signal.SIGINT) == (EXIT_INTERRUPTED, "saved\n", LINE)
    assert time.monotonic() - begun < LIMIT_S


def test_the_line_is_said_where_stderr_is_away_for_a_while() -> None:
    """As while Ray starts, whose first words are held back."""
    held = "import os, tempfile\nfile = tempfile.TemporaryFile()\nos.dup2(file.fileno(), 2)\n"
    code = START + held + FLOW.replace("CLEAN_UP_S", "60")
    assert interrupted(code, signal.SIGINT, signal.SIGINT) == (EXIT_INTERRUPTED, "saved\n", LINE)


def test_a_signal_between_two_moments_is_not_lost() -> None:
    """It comes when the flow's thread is there and its event loop is not."""
    code = START + FLOW.replace("CLEAN_UP_S", "0").replace(
        "try:\n    run_inter",
        "import signal\nstart = threading.Thread.start\n"
        "def late(self):\n    signal.raise_signal(signal.SIGINT)\n    start(self)\n"
        "threading.Thread.start = late\nprint(1, flush=True)\ntry:\n    run_inter",
    )  # fmt: skip
    assert interrupted(code) == (EXIT_INTERRUPTED, "", LINE)


def test_a_fork_says_nothing() -> None:
    process, child = started(FORK)
    with process:
        subprocess.run(["kill", "-TERM", child], check=True)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=LIMIT_S)
    assert stderr == LINE


def test_a_command_with_files_to_take_away_does_so() -> None:
    assert interrupted(FILES, signal.SIGTERM) == (EXIT_INTERRUPTED, "taken away\n", LINE)


def test_rays_own_handler_of_sigterm_is_off_before_ray_is_imported() -> None:
    """It reads the setting when it is imported, and prints its C++ stack otherwise."""
    script = (
        "import infra.hosting.ray_host\n"
        "from ray._private.ray_constants import RAY_DISABLE_FAILURE_SIGNAL_HANDLER as is_off\n"
        "raise SystemExit(0 if is_off else 1)\n"
    )
    environment = {n: v for n, v in os.environ.items() if not n.startswith("RAY_")}
    command = [sys.executable, "-c", script]
    assert subprocess.run(command, env=environment, check=False).returncode == 0
