"""The temporary Prefect server of a run: there when needed, gone with the run, one only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import psutil

from flows.cli.messages import EXIT_FAILED
from flows.server.temporary import starting_alone

ROOT = Path(__file__).parents[2]
GONE_WITHIN_S = 10.0
START = """
import os, sys
from pathlib import Path
from flows.server.temporary import find_server
server = find_server(Path("home"))
print(server is not None, os.environ["PREFECT_API_URL"], flush=True)
"""
WAIT = """
server.wait()
print("answers", flush=True)
"""
ASK_PREFECT = """
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    print(client.api_url, client.api_healthcheck(), flush=True)
"""
STAY = "sys.stdin.read()"


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Of a run with a Prefect home of its own and no server set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**kept, "PREFECT_HOME": str(folder / "prefect"), "PYTHONPATH": str(ROOT), **more}


@contextmanager
def driver(folder: Path, code: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs `code`; killed at the end."""
    command = [sys.executable, "-P", "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, env=environment(folder, **more), stdin=pipe, stdout=pipe, stderr=pipe,
        text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=GONE_WITHIN_S)
    left = [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert left == []


def test_driver_killed_while_its_server_starts_takes_it_along(tmp_path: Path) -> None:
    with driver(tmp_path, START + STAY) as process:
        assert next_line(process).startswith("True http://127.0.0.1:")
        servers = children(process)
        assert len(servers) == 1
        process.send_signal(signal.SIGKILL)
        assert_gone(servers)


def test_each_run_has_a_server_of_its_own_and_takes_it_along(tmp_path: Path) -> None:
    """Two that start together in a new home both answer; one is killed, the other ends in order."""
    mine = tmp_path / "flows"  # a folder of the user's by the name of a package of ours
    mine.mkdir()
    (mine / "__init__.py").write_text("raise RuntimeError('not this one')")
    with (
        driver(tmp_path, START + WAIT + STAY) as killed,
        driver(tmp_path, START + WAIT + "sys.stdin.readline()" + ASK_PREFECT + STAY) as other,
    ):
        apis = [next_line(process).removeprefix("True ") for process in (killed, other)]
        assert [next_line(process) for process in (killed, other)] == ["answers"] * 2
        assert len(set(apis)) == 2
        assert (tmp_path / "prefect" / "prefect.version").read_text() == version("prefect")
        servers = [children(process) for process in (killed, other)]
        assert [len(each) for each in servers] == [1, 1]
        killed.send_signal(signal.SIGKILL)
        assert_gone(servers[0])
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
        assert next_line(other) == f"{apis[1]}/ None"  # Prefect itself asks there,
        assert len(children(other)) == 1  # and started no other
        said = other.communicate(timeout=GONE_WITHIN_S * 6)[1]  # closes stdin: an orderly end
        assert (other.returncode, said) == (0, "")
    assert not servers[1][0].is_running()


def test_an_address_in_prefects_own_settings_is_used(tmp_path: Path) -> None:
    profiles = tmp_path / "prefect" / "profiles.toml"
    profiles.parent.mkdir()
    api = "http://prefect.example/api"
    profiles.write_text(f'active = "team"\n[profiles.team]\nPREFECT_API_URL = "{api}"\n')
    with driver(tmp_path, START) as process:
        assert process.communicate(timeout=120)[0].split() == ["False", api]


def litecot_run(folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "flows.cli.main", "run", "nano", "--corpus", "corpus"]
    return subprocess.run(
        [*command, "--limit", "1"], cwd=folder, env=environment(folder, **more),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_server_that_cannot_start_is_one_line_and_its_log(tmp_path: Path) -> None:
    database = f"sqlite+aiosqlite:///{tmp_path}/no/such/folder/prefect.db"
    done = litecot_run(tmp_path, PREFECT_API_DATABASE_CONNECTION_URL=database)
    assert done.returncode == EXIT_FAILED
    assert done.stderr.startswith("litecot: the Prefect server ended with status 3: try again, or")
    assert "unable to open database file" in done.stderr


def test_server_that_takes_too_long_is_given_up_and_ended(tmp_path: Path) -> None:
    started = time.monotonic()
    with starting_alone(tmp_path / "prefect"):  # as a server would that is busy in this home
        done = litecot_run(tmp_path, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="1")
    assert done.returncode == EXIT_FAILED
    assert "litecot: the Prefect server did not answer within 1 s" in done.stderr
    assert time.monotonic() - started < 60
    assert not [
        process
        for process in psutil.process_iter()
        if is_server_of(process, home=str(tmp_path / "prefect"))
    ]


def is_server_of(process: psutil.Process, *, home: str) -> bool:
    try:
        return process.environ().get("PREFECT_HOME") == home
    except psutil.Error:
        return False


def test_time_limit_that_is_no_number_is_one_line(tmp_path: Path) -> None:
    limit = "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"
    done = litecot_run(tmp_path, **{limit: "soon"})
    assert done.returncode == EXIT_FAILED
    assert done.stderr == f"litecot: {limit} is 'soon': give it a number of seconds\n"


def test_address_where_nobody_answers_is_refused(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        api = f"http://127.0.0.1:{unused.getsockname()[1]}/api"
        done = litecot_run(tmp_path, PREFECT_API_URL=api)
    assert done.returncode == EXIT_FAILED
    assert done.stderr.startswith(f"litecot: no Prefect server answers at {api}: start it")
    assert done.stderr.count("\n") == 1
