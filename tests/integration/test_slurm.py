"""infra/cluster on a real Ray: slurm.sh with two "nodes" of this machine, and KubeRay's options.

srun and scontrol are shims that start the steps of the job as local processes, so the script's Ray
is a real cluster of two nodes, and its signals, waits and exit codes are what Slurm would see.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "infra" / "cluster" / "slurm.sh"
LIMIT_S = 120

SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do
    if [[ $1 == --nodelist=* ]]; then node=${1#*=}; fi
    shift
done
case $node in
    silent) exec sleep 600 ;;
    broken) echo "srun: error: $node: ray: command not found" >&2; exit 127 ;;
    *) exec "$@" ;;
esac
"""
SCONTROL = """#!/usr/bin/env bash
case $1 in
    show) tr , '\\n' <<<"$3" ;;
    requeue) echo "$2" >"$REQUEUED" ;;
esac
"""
# What stands for litecot: says what it sees of the cluster, saves on SIGTERM.
COMMAND = """
import signal, sys, time
import ray

def save(number, frame):
    print("saved", flush=True)
    sys.exit(130)

ray.init(log_to_driver=False, logging_level="ERROR")
signal.signal(signal.SIGTERM, save)  # after Ray set its own
print("alive", sum(node["Alive"] for node in ray.nodes()), flush=True)
time.sleep(600)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Job:
    """The batch script of one job and where its parts leave their traces."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ray_folder = tempfile.mkdtemp(prefix="lr-", dir="/tmp")  # short: sockets lie in it
        self.requeued = folder / "requeued"
        for name, text in {"srun": SRUN, "scontrol": SCONTROL}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    def environment(self, nodes: str) -> dict[str, str]:
        bins = os.pathsep.join([str(self.folder), str(Path(sys.executable).parent)])
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "PATH": f"{bins}{os.pathsep}{os.environ['PATH']}",
            "SLURM_JOB_ID": "4711", "SLURM_JOB_NODELIST": nodes, "SLURM_CPUS_ON_NODE": "1",
            "SLURM_GPUS_ON_NODE": "0", "LITECOT_HEAD_IP": "127.0.0.1",
            "LITECOT_RAY_PORT": str(free_port()), "LITECOT_RAY_TMP": self.ray_folder,
            "LITECOT_RAY_START": f"--object-store-memory={80 * 2**20}",
            "REQUEUED": str(self.requeued),
        }  # fmt: skip

    def start(self, nodes: str, *command: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", str(SCRIPT), *command], env={**self.environment(nodes), **environment},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def processes(self) -> list[psutil.Process]:
        """What still runs of this job's Ray."""
        return [
            process
            for process in psutil.process_iter()
            if any(self.ray_folder in part for part in _cmdline(process))
        ]


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    made = Job(tmp_path)
    yield made
    for process in made.processes():
        process.kill()
    shutil.rmtree(made.ray_folder, ignore_errors=True)


def read_until(run: subprocess.Popen[str], words: str) -> str:
    """What the script says up to the line with `words`."""
    assert run.stdout is not None
    said = ""
    for line in run.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(f"it ended without saying {words!r}:\n{said}")


def ended(job: Job, run: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and last words; nothing of its Ray is left a moment later."""
    said, _ = run.communicate(timeout=LIMIT_S)
    deadline = time.monotonic() + 10
    while job.processes() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert job.processes() == []
    return run.returncode, said


@pytest.mark.timeout(LIMIT_S)
def test_two_nodes_then_the_time_limit(job: Job) -> None:
    run = job.start("node1,node2", sys.executable, "-c", COMMAND)
    assert "all 2 nodes joined" in read_until(run, "alive 2")
    run.send_signal(signal.SIGUSR1)
    code, said = ended(job, run)
    assert (code, job.requeued.read_text()) == (130, "4711\n"), said
    assert said.index("the time limit is near") < said.index("saved") < said.index("queued again")


@pytest.mark.timeout(LIMIT_S)
def test_cancelled_job_saves_and_is_not_queued_again(job: Job) -> None:
    run = job.start("node1", sys.executable, "-c", COMMAND)
    read_until(run, "alive 1")
    run.send_signal(signal.SIGTERM)
    code, said = ended(job, run)
    assert (code, job.requeued.exists()) == (130, False)
    assert "saved" in said


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize(
    ("node", "words"),
    [("silent", "1 of 2 nodes joined Ray within 8 s"), ("broken", "Ray ended on a node before")],
)
def test_a_node_that_never_joins_ends_the_job(job: Job, node: str, words: str) -> None:
    run = job.start(f"node1,{node}", "echo", "the command ran", LITECOT_JOIN_TIMEOUT_S="8")
    code, said = ended(job, run)
    assert code == 1
    assert words in said
    assert "the command ran" not in said


def test_start_parameters_of_the_yaml_are_options_of_ray_start() -> None:
    run = [str(Path(sys.executable).parent / "ray"), "start", "--help"]
    options = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    spec = yaml.safe_load((SCRIPT.parent / "ray-cluster.yaml").read_text())["spec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        for name in group["rayStartParams"]:
            assert f"--{name} " in options


def test_wrong_use_is_one_line() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
    for command, words in (([], "no command"), (["true"], "not in a Slurm job")):
        done = subprocess.run(
            ["bash", str(SCRIPT), *command], env=environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert words in done.stderr
