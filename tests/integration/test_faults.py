"""Faults of the machine: a full disk, a damaged file, a killed driver (docs/reliability.md).

Each ends in one clear line, and the same command afterwards ends with the rows a calm run has.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from infra.storage import Corpus
from sql.database import connect

RUN = [sys.executable, "-m", "tests.integration.scripted_run"]
ROOT = Path(__file__).parents[2]
IN_FLIGHT = 4
NUM_CANDIDATES = 4  # of the recipe nano
KEY_COLUMNS = "rationale_id, input_id, text, verdict"


def scripted_run(corpus: Path) -> subprocess.CompletedProcess[str]:
    """One invocation on `corpus`, a few records in flight at a time."""
    return subprocess.run(
        [*RUN, str(corpus)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )


def environment() -> dict[str, str]:
    return {**os.environ, "LITECOT_IN_FLIGHT": str(IN_FLIGHT)}


def result(printed: str) -> dict[str, int]:
    """The last line of a scripted run."""
    read: dict[str, int] = json.loads(printed.splitlines()[-1])
    return read


def rationales(corpus: Path) -> list[tuple[Any, ...]]:
    """What the corpus holds, duplicates included."""
    query = f"select {KEY_COLUMNS} from raw_rationales order by all"
    return connect(Corpus(corpus).parts()).run(query).rows


def one_line(stderr: str) -> str:
    """The only thing said: a line of ours."""
    assert stderr.startswith("litecot: "), stderr
    assert stderr.count("\n") == 1, stderr
    return stderr


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus of a run to which nothing happened."""
    corpus = tmp_path_factory.mktemp("calm") / "corpus"
    done = scripted_run(corpus)
    assert done.returncode == 0, done.stderr
    assert result(done.stdout)["repeated"] == 0
    return corpus


# --- a full disk

# $1 a folder to mount a small disk on, $2 where to leave the corpus, then the command of a run.
# What is kept free grows from run to run; the mount is seen by nobody else and ends with the shell.
FULL_DISK = """
disk=$1 left=$2; shift 2
mount -t tmpfs -o size=16m litecot-test "$disk" || exit 77
for free in 100 800 1600 16384; do
    rm -f "$disk/ballast"
    room=$(df --output=avail -k "$disk" | tail -1)
    ((room > free)) && head -c $(((room - free) * 1024)) /dev/zero >"$disk/ballast"
    "$@" "$disk/corpus" 2>"$left.$free.err" >"$left.$free.out"
    echo $? >"$left.$free.code"
done
cp -r "$disk/corpus" "$left"
"""


def test_full_disk_ends_the_run_and_freeing_it_mends_it(calm: Path, tmp_path: Path) -> None:
    disk, left = tmp_path / "disk", tmp_path / "corpus"
    disk.mkdir()
    private = ["unshare", "--mount", *(["--user", "--map-root-user"] if os.getuid() else [])]
    if shutil.which("unshare") is None or subprocess.run([*private, "true"]).returncode:
        pytest.skip("no private mounts here: `unshare --mount` is not permitted")
    done = subprocess.run(
        [*private, "bash", "-c", FULL_DISK, "full-disk", str(disk), str(left), *RUN],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip(f"no small disk here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    said = {free: Path(f"{left}.{free}.err").read_text() for free in (100, 800, 1600, 16384)}
    codes = {free: int(Path(f"{left}.{free}.code").read_text()) for free in said}
    failed = [free for free, code in codes.items() if code]
    assert 2 <= len(failed) <= 3, (codes, said)
    for free in failed:
        assert "no space left on its disk; free some" in one_line(said[free])
    assert codes[16384] == 0, said[16384]
    made = result(Path(f"{left}.16384.out").read_text())
    assert made["repeated"] <= IN_FLIGHT * len(failed)
    assert 0 < made["rows"] < len(rationales(calm))  # what the failed runs saved was not made again
    assert rationales(left) == rationales(calm)


# --- a damaged file


def test_cut_off_part_is_made_again(calm: Path, tmp_path: Path) -> None:
    corpus = Path(shutil.copytree(calm, tmp_path / "corpus"))
    part = Path(Corpus(corpus).parts()["rationales"][0])
    os.truncate(part, part.stat().st_size // 2)
    done = scripted_run(corpus)
    assert done.returncode == 0, done.stderr
    assert f"{part}: is " in done.stderr
    assert "rows are made again" in done.stderr
    made = result(done.stdout)
    assert made["repeated"] == made["rows"] / NUM_CANDIDATES > 0  # what was lost, and no more
    assert rationales(corpus) == rationales(calm)


def zero_a_sector(part: Path) -> None:
    """As a bad sector leaves it: the size stays."""
    with part.open("r+b") as file:
        file.seek(part.stat().st_size // 2)
        file.write(bytes(4096))


def zero_all(part: Path) -> None:
    """All between the magic bytes at both ends."""
    size = part.stat().st_size
    with part.open("r+b") as file:
        file.seek(4)
        file.write(bytes(size - 8))


def flip_one_bit(part: Path) -> None:
    """In the pages, which stay readable."""
    data = bytearray(part.read_bytes())
    data[len(data) // 3] ^= 1
    part.write_bytes(data)


@pytest.mark.parametrize("spoil", [zero_a_sector, zero_all, flip_one_bit])
def test_part_that_rotted_on_disk_is_named_and_made_again(
    calm: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    corpus = Path(shutil.copytree(calm, tmp_path / "corpus"))
    part = Path(Corpus(corpus).parts()["rationales"][0])
    problem = connect(Corpus(corpus).parts()).run("from raw_rationales").records()[0]["problem_id"]
    spoil(part)
    remedy = "run the recipe again: it sets the file aside and makes its"
    query = "select text from raw_rationales"
    for command in (("sql", query), ("ask", "hardest_problems"), ("show", problem), ("status",)):
        done = CliRunner().invoke(app, [*command, "--corpus", str(corpus)])
        assert (done.exit_code, done.stdout) == (2, ""), command
        said = one_line(done.stderr)
        assert f"{part}: holds other bytes than were written; {remedy}" in said, command
    done = CliRunner().invoke(app, ["corpus", "check", "--corpus", str(corpus)])
    assert done.exit_code == 1
    assert done.stdout.startswith(f"rationales: {part} (all shards): holds other bytes")
    assert "(nano: generate " in done.stdout
    again = scripted_run(corpus)
    assert again.returncode == 0, again.stderr
    assert f"{part}: holds other bytes than were written; set aside" in again.stderr
    made = result(again.stdout)
    assert made["repeated"] == made["rows"] / NUM_CANDIDATES > 0
    assert rationales(corpus) == rationales(calm)
    assert Corpus(corpus).faults() == []


# --- a killed driver

NUM_PROBLEMS = 10
# They try to report to a head that is gone: for a minute by default, for seconds here.
SHORT_WAIT = {**os.environ, "RAY_gcs_rpc_server_reconnect_timeout_s": "5"}
AGENTS = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}
NANO = ("run", "nano", "--limit", str(NUM_PROBLEMS), "--set", 'stages=["generate"]')


def litecot(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.cli.main", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)


def journal_count(corpus: Path, query: str) -> int:
    """A count from the journal of a running writer; 0 while there is none."""
    try:
        with sqlite3.connect(f"file:{corpus}/_journal/journal.sqlite?mode=ro", uri=True) as journal:
            return int(journal.execute(query).fetchone()[0])
    except sqlite3.Error:
        return 0


def is_asking(corpus: Path) -> bool:
    return journal_count(corpus, "select count(*) from requests") > 0


def is_answered(corpus: Path) -> bool:
    """Whether a rationale is there, in the journal or in a part."""
    waiting = "select count(*) from finished where body like '%\"rationales\"%'"
    return journal_count(corpus, waiting) > 0 or bool(Corpus(corpus).parts()["rationales"])


def wait_for(condition: Callable[[], object], *, limit_s: float, what: str) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def is_gone(process: psutil.Process) -> bool:
    """Ended, collected by its parent or not."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_killed_driver_leaves_no_process_and_the_next_command_goes_on(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    command = [sys.executable, "-m", "flows.cli.main", *NANO, "--corpus", str(corpus)]
    with (tmp_path / "log").open("wb") as log:
        driver = subprocess.Popen(command, cwd=ROOT, env=SHORT_WAIT, stdout=log, stderr=log)
    try:
        wait_for(lambda: is_asking(corpus), limit_s=120, what="no request was sent")
        second = litecot(*NANO, "--corpus", str(corpus))
        wait_for(lambda: is_answered(corpus), limit_s=120, what="no request was answered")
        started = psutil.Process(driver.pid).children(recursive=True)
        names = {process.pid: process.name() for process in started}
        servers = [process for process in started if "flows.server.temporary" in process.cmdline()]
        others = [process for process in started if "uvicorn" in process.cmdline()]
        assert driver.poll() is None, "it ended before it could be killed"
    finally:
        driver.kill()
        driver.wait()
    assert second.returncode == 2
    words = f"is being written by process {driver.pid} on {socket.gethostname()}"
    assert words in one_line(second.stderr)
    assert {"raylet", "gcs_server"} <= set(names.values())
    assert (len(servers), others) == (1, [])  # ours, and Prefect started none itself
    wait_for(lambda: is_gone(servers[0]), limit_s=10, what="Prefect's server outlives its driver")
    engines = [process for process in started if names[process.pid] not in AGENTS]
    wait_for(lambda: all(map(is_gone, engines)), limit_s=30, what="Ray outlives its driver")
    done = litecot(*NANO, "--corpus", str(corpus))
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(litecot("sql", COUNTS, "--corpus", str(corpus), "--format", "json").stdout)
    num_rows = NUM_PROBLEMS * NUM_CANDIDATES
    assert row == {"problems": NUM_PROBLEMS, "rows": num_rows, "ids": num_rows}
    wait_for(lambda: all(map(is_gone, started)), limit_s=120, what="Ray's agents are still there")


COUNTS = """select count(distinct problem_id) as problems, count(*) as "rows",
    count(distinct rationale_id) as ids from raw_rationales"""
