"""Starts the driver of a training, follows it, and publishes the trained model in one rename.

Role: the only entry to training; loads no torch and no Ray itself. Invariants: the output folder
appears complete or not at all; when this process dies, however it dies, the ranks die with it, and
the next call goes on from their last checkpoint; a failure is one clear line followed by the end of
the log, and the log is kept beside the output.

A sample call:
    train(TrainConfig(device="cpu", dtype="float32"), base=folder, examples=examples,
          output=corpus / "models" / model_id, on_progress=print)
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from infra.environment import KEEP, child_environment, hub_tokens, kept_names
from infra.settings import load_settings
from infra.storage.store import Place
from infra.training.checkpoints import training_key
from infra.training.config import TrainConfig
from infra.training.job import STOP, JobFolder, Launch, TrainJob
from infra.training.reports import (
    StepReport,
    TrainingError,
    TrainingExample,
    TrainResult,
    TrainStart,
)
from tasks.schemas import content_id

POLL_S = 0.2
LEAVE_S = 10.0
STOP_S = 260.0  # the driver's own limits (ray_driver.py) come first
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
RAY_ENV = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_COLOR_PREFIX": "0",
}


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """Who is called while ranks run, in the thread that called `train`."""

    on_start: Callable[[TrainStart], None]
    on_progress: Callable[[StepReport], None]
    on_note: Callable[[str], None]
    go_on: Callable[[], None]


def train(
    config: TrainConfig,
    *,
    base: Path | str,
    examples: Sequence[TrainingExample],
    output: Path,
    checkpoints: Place | None = None,
    cluster: str | None = None,
    on_start: Callable[[TrainStart], None] = lambda _: None,
    on_progress: Callable[[StepReport], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    go_on: Callable[[], None] = lambda: None,
) -> TrainResult:
    """Fine-tune `base` (a local folder or a hub id) on `examples` into the folder `output`.

    Goes on from the last of `checkpoints`, which are the caller's to remove once it needs them no
    more; unset: a folder beside `output`, removed at the end. `cluster`: address of a Ray that this
    process runs; without, RAY_ADDRESS says which to join, or one is started here.
    `on_start` is called once the ranks have met, `on_progress` after each optimizer step, `on_note`
    with what was lost or is waited for ("": no more), `go_on` every POLL_S seconds; what any of
    them raises stops the ranks, which keep a checkpoint first. An `output` that exists is replaced
    at the end.
    Raises TrainingError (message: one line, then the end of the log).
    """
    started = time.monotonic()
    _check_inputs(base, examples)
    listeners = Listeners(
        on_start=on_start, on_progress=on_progress, on_note=on_note, go_on=go_on
    )  # fmt: skip
    with _staging(output) as folder:
        place = checkpoints or _beside(output, config, base, examples)
        job = TrainJob(config=config, base=_absolute(base))
        folder.write_job(job, examples, _launch(config, base, place, cluster))
        status = _run_driver(folder, driver_environment(base), place.s3, listeners)
        result = folder.read_result()
        if status != 0 or result is None:
            raise _failure(folder, output, status=status)
        _publish(folder, output)
    if checkpoints is None:
        shutil.rmtree(place.path, ignore_errors=True)
        with suppress(OSError):  # another model's are in it
            Path(place.path).parent.rmdir()
    return replace(result, train_seconds=result.train_seconds + time.monotonic() - started)


def _beside(
    output: Path, config: TrainConfig, base: Path | str, examples: Sequence[TrainingExample]
) -> Place:
    data = content_id([list(asdict(example).values()) for example in examples])
    key = training_key(config, _absolute(base), data)
    return Place(path=str(output.parent.resolve() / ".training" / key))


def _launch(config: TrainConfig, base: Path | str, place: Place, cluster: str | None) -> Launch:
    settings = load_settings()
    return Launch(
        checkpoints=place.path,
        address=cluster,
        is_local=not os.environ.get("RAY_ADDRESS"),
        environment=rank_environment(config, base),
        wait_s=settings.train_wait_s,
        max_failures=settings.train_failures,
        threads=settings.train_threads,
    )


def _absolute(base: Path | str) -> str:
    return str(base) if _is_hub_id(base) else str(Path(base).resolve())


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


def rank_environment(config: TrainConfig, base: Path | str = "") -> dict[str, str]:
    """What ranks get beside their node's environment, of which they keep no keys
    (infra/environment.py); of a hub id they load `base`, hence the names of the hub's tokens."""
    kept = [*kept_names(os.environ), *hub_tokens(needs_hub=_is_hub_id(base))]
    env = QUIET_ENV | {KEEP: ",".join(kept)}
    return env | {"DS_ACCELERATOR": "cpu"} if config.device == "cpu" else env


def driver_environment(base: Path | str = "") -> dict[str, str]:
    """What the driver, and a Ray that it starts, need of this process's environment: no keys."""
    env = child_environment(os.environ, keep=hub_tokens(needs_hub=_is_hub_id(base)))
    env = {name: value for name, value in env.items() if name not in OUTER_RANK_ENV}
    env |= QUIET_ENV | {name: env.get(name, value) for name, value in RAY_ENV.items()}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SOURCE_ROOT), env.get("PYTHONPATH")]))
    env["PYTHONSAFEPATH"] = "1"  # a `tasks.py` in the working folder is not ours
    return env


def _run_driver(
    folder: JobFolder,
    environment: Mapping[str, str],
    keys: Mapping[str, object] | None,
    listeners: Listeners,
) -> int:
    """Exit status of the driver; what it tells is handed on while it runs."""
    with folder.log.open("wb") as log:
        # It watches stdin: the kernel closes our end when we die, even of SIGKILL. A session of
        # its own keeps the terminal's Ctrl-C from it: it would end without a checkpoint.
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.training.ray_driver", str(folder.path.resolve())],
            env=environment, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        _say(process, json.dumps(keys and dict(keys)).encode() + b"\n")
        return _follow(process, folder, listeners)
    except BaseException:
        _say(process, STOP)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=STOP_S)
        raise
    finally:
        _end(process)


def _say(process: subprocess.Popen[bytes], line: bytes) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has ended, and says why elsewhere
        process.stdin.write(line)
        process.stdin.flush()


def _follow(process: subprocess.Popen[bytes], folder: JobFolder, listeners: Listeners) -> int:
    offset, status, noted = 0, None, ""
    told: TrainStart | None = None
    while status is None:
        with suppress(subprocess.TimeoutExpired):
            status = process.wait(timeout=POLL_S)
        listeners.go_on()
        if (note := folder.read_note()) != noted:
            noted = note
            listeners.on_note(note)
        steps, offset = folder.read_progress(offset)
        start = folder.read_start()  # behind: what is written first is told first
        if start is not None and start != told:
            told = start
            listeners.on_start(start)
        for step in steps:
            listeners.on_progress(step)
    return status


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the driver's lifeline, on which it ends at once; harmless where it has ended."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(timeout=LEAVE_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _failure(folder: JobFolder, output: Path, *, status: int) -> TrainingError:
    """The error to raise; the log moves beside the output, where it outlives the staging folder."""
    log = output.parent / f"{output.name}.failed.log"
    tail = folder.log_tail(LOG_LINES)
    os.replace(folder.log, log)
    reason = folder.read_error() or f"its driver ended with status {status}"
    return TrainingError(f"training failed: {reason} (log: {log})\n{tail}")


def _publish(folder: JobFolder, output: Path) -> None:
    """Rename the finished model into place; an older one gives way to it."""
    os.replace(folder.log, folder.model / folder.log.name)
    os.replace(folder.progress, folder.model / folder.progress.name)
    if output.exists():
        os.replace(output, folder.path / "replaced")
    os.replace(folder.model, output)
