"""Starts the ranks, follows them, and publishes the trained model in one rename.

Role: the only entry to training; loads no torch itself. Invariants: the output folder appears
complete or not at all; when this process dies, however it dies, the ranks die with it; a failure is
one clear line followed by the end of the log, and the log is kept beside the output.

A sample call:
    train(TrainConfig(device="cpu", dtype="float32"), base=folder, examples=examples,
          output=corpus / "models" / model_id, on_progress=print)
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from infra.environment import child_environment, hub_tokens
from infra.training.config import TrainConfig
from infra.training.job import LIFELINE_ENV, JobFolder, TrainJob
from infra.training.reports import (
    StepReport,
    TrainingError,
    TrainingExample,
    TrainResult,
    TrainStart,
)

POLL_S = 0.2
STOP_S = 10.0  # ranks have this long to leave after they were asked to
LOG_LINES = 12
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
SOURCE_ROOT = Path(__file__).resolve().parents[2]
QUIET_ENV = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "WANDB_DISABLED": "true",
    "PYTHONUNBUFFERED": "1",
}
# Left over from an outer launcher (torchrun, Ray Train, Slurm), they would confuse ours.
OUTER_RANK_ENV = {
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT"),
}


def train(
    config: TrainConfig,
    *,
    base: Path | str,
    examples: Sequence[TrainingExample],
    output: Path,
    on_start: Callable[[TrainStart], None] = lambda _: None,
    on_progress: Callable[[StepReport], None] = lambda _: None,
    go_on: Callable[[], None] = lambda: None,
) -> TrainResult:
    """Fine-tune `base` (a local folder or a hub id) on `examples` into the folder `output`.

    In this thread `on_start` is called once the ranks have met, `on_progress` after each optimizer
    step, `go_on` every POLL_S seconds; what any of them raises ends the ranks. An `output`
    that exists is replaced at the end.
    Raises TrainingError (message: one line, then the end of the log).
    """
    started = time.monotonic()
    _check_inputs(base, examples)
    with _staging(output) as folder:
        folder.write_job(TrainJob(config=config, base=str(base)), examples)
        environment = rank_environment(config, base)
        status = _run_ranks(
            folder, config, environment=environment,
            on_start=on_start, on_progress=on_progress, go_on=go_on,
        )  # fmt: skip
        result = folder.read_result()
        if status != 0 or result is None:
            raise _failure(folder, output, status=status)
        _publish(folder, output)
    return replace(result, train_seconds=time.monotonic() - started)


def _check_inputs(base: Path | str, examples: Sequence[TrainingExample]) -> None:
    if not examples:
        raise TrainingError("no examples to train on")
    if not _is_hub_id(base) and not (Path(base) / "config.json").is_file():
        raise TrainingError(f"no model to start from in {base}: it has no config.json")


def _is_hub_id(base: Path | str) -> bool:
    return isinstance(base, str) and bool(HUB_ID.fullmatch(base)) and not Path(base).exists()


@contextmanager
def _staging(output: Path) -> Iterator[JobFolder]:
    """A fresh folder beside `output`, locked while we live; what a killed run left is removed."""
    path = output.parent / f".{output.name}.training"
    path.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(f"another run is training {output.name}") from None
        _empty(path)
        try:
            yield JobFolder(path)
        finally:
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def rank_command(config: TrainConfig, folder: Path) -> list[str]:
    """The command that starts all ranks on this machine, on a free port of the loopback."""
    return [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1",
        "--nproc-per-node", str(config.num_ranks), "-m", "infra.training.worker", str(folder),
    ]  # fmt: skip


def rank_environment(config: TrainConfig, base: Path | str = "") -> dict[str, str]:
    """What ranks need of this process's environment, no keys (infra/environment.py), and made fit
    for them: threads, accelerator, no usage reporting. Of a hub id the ranks load `base`."""
    env = child_environment(os.environ, keep=hub_tokens(needs_hub=_is_hub_id(base)))
    env = {name: value for name, value in env.items() if name not in OUTER_RANK_ENV}
    cores = len(os.sched_getaffinity(0))
    env |= QUIET_ENV | {
        LIFELINE_ENV: "stdin",
        "OMP_NUM_THREADS": str(max(1, cores // config.num_ranks)),
    }
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SOURCE_ROOT), env.get("PYTHONPATH")]))
    env["PYTHONSAFEPATH"] = "1"  # a `tasks.py` in the working folder is not ours
    if config.device == "cpu":
        env |= {"DS_ACCELERATOR": "cpu", "ACCELERATE_USE_CPU": "true", "GLOO_SOCKET_IFNAME": "lo"}
    return env


def _run_ranks(
    folder: JobFolder,
    config: TrainConfig,
    *,
    environment: Mapping[str, str],
    on_start: Callable[[TrainStart], None],
    on_progress: Callable[[StepReport], None],
    go_on: Callable[[], None],
) -> int:
    """Exit status of the launcher of the ranks; progress handed on while they run."""
    with folder.log.open("wb") as log:
        # The ranks watch stdin: the kernel closes our end when we die, even of SIGKILL. A session
        # of their own keeps the terminal's Ctrl-C from them: they would say that they failed.
        process = subprocess.Popen(
            rank_command(config, folder.path.resolve()), env=environment,
            stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        return _follow(process, folder, on_start=on_start, on_progress=on_progress, go_on=go_on)
    finally:
        _stop(process)


def _follow(
    process: subprocess.Popen[bytes],
    folder: JobFolder,
    *,
    on_start: Callable[[TrainStart], None],
    on_progress: Callable[[StepReport], None],
    go_on: Callable[[], None],
) -> int:
    offset, status = 0, None
    told: TrainStart | None = None
    while status is None:
        with suppress(subprocess.TimeoutExpired):
            status = process.wait(timeout=POLL_S)
        go_on()
        steps, offset = folder.read_progress(offset)
        if (start := folder.read_start()) not in (None, told):
            told = start
            on_start(start)
        for step in steps:
            on_progress(step)
    return status


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Close the ranks' lifeline and wait for the launcher; harmless where it has ended."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _failure(folder: JobFolder, output: Path, *, status: int) -> TrainingError:
    """The error to raise; the log moves beside the output, where it outlives the staging folder."""
    log = output.parent / f"{output.name}.failed.log"
    tail = folder.log_tail(LOG_LINES)
    os.replace(folder.log, log)
    reason = folder.read_error() or f"the ranks ended with status {status}"
    return TrainingError(f"training failed: {reason} (log: {log})\n{tail}")


def _publish(folder: JobFolder, output: Path) -> None:
    """Rename the finished model into place; an older one gives way to it."""
    os.replace(folder.log, folder.model / folder.log.name)
    os.replace(folder.progress, folder.model / folder.progress.name)
    if output.exists():
        os.replace(output, folder.path / "replaced")
    os.replace(folder.model, output)
