"""A training rank without Ray: our own rank.py behind a link of a folder, one process or torchrun.

Invariants: what trains is infra/training as it is; the link keeps checkpoints and tells steps, and
decides nothing; rank 0 leaves `outcome.json` as its last act.

A sample: `train(config, base=folder, examples=examples, folder=tmp_path)`, which starts
`python -m tests.gpu.bare.alone FOLDER`; for two GPUs `torchrun --nproc-per-node 2 -m ... FOLDER`.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra.training.config import TrainConfig
from infra.training.job import TrainJob
from infra.training.link import MODEL, RESULT_FILE, Wish
from infra.training.reports import StepReport, TrainingExample, TrainResult, TrainStart

ROOT = Path(__file__).parents[3]
JOB, OUTCOME, MODEL_FOLDER = "alone.json", "outcome.json", "model"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run left: every step, and what it did to the device."""

    result: TrainResult
    steps: list[StepReport]
    device: dict[str, Any]
    attention: str
    seconds: float  # the process, imports included
    model: Path

    @property
    def tokens_per_s(self) -> float:
        """Of the steady steps: the first two warm up caches, clocks and the allocator."""
        rates = sorted(step.tokens_per_s for step in self.steps if step.step > 2)
        return rates[len(rates) // 2]

    @property
    def losses(self) -> list[float]:
        """Of the steps, the base's none."""
        return [step.loss for step in self.steps if step.loss is not None]


class FolderLink:
    """See RankLink. Every rank sees the folder."""

    def __init__(self, folder: Path, examples: Sequence[TrainingExample]) -> None:
        self.rank = int(os.environ["RANK"])
        self.world_size = int(os.environ["WORLD_SIZE"])
        self.local_rank = int(os.environ["LOCAL_RANK"])
        self.attempt = 1
        self.steps: list[StepReport] = []
        self._folder = folder
        self._examples = examples
        self._best: tuple[float, Path] | None = None

    def examples(self) -> Sequence[TrainingExample]:
        return self._examples

    def start(self, start: TrainStart) -> None:
        print(f"start: {start.line}", flush=True)

    def tell(self, reports: Sequence[StepReport]) -> Wish:
        self.steps += reports
        for report in reports:
            print(f"step {report.step} of {report.num_steps}: loss {report.loss}", flush=True)
        return Wish.GO_ON

    def keep(self, folder: Path | None, *, name: str, held_out_loss: float | None) -> None:
        import torch.distributed as dist

        target = self._folder / (MODEL_FOLDER if name == MODEL else f"kept/{name}")
        if folder is not None:
            shutil.copytree(folder, target, dirs_exist_ok=True)
        dist.barrier()
        best = self._best
        if held_out_loss is not None and (best is None or held_out_loss < best[0]):
            self._best = held_out_loss, target

    def last(self) -> AbstractContextManager[Path | None]:
        return _none()

    def best(self) -> AbstractContextManager[Path | None]:
        return _none(self._best and self._best[1])


@contextmanager
def _none(folder: Path | None = None) -> Iterator[Path | None]:
    yield folder


# --- who starts it


def train(
    config: TrainConfig, *, base: Path, examples: Sequence[TrainingExample], folder: Path,
    timeout_s: float = 300,
) -> Outcome:  # fmt: skip
    """Train in a process of its own. Raises RuntimeError with the end of its log."""
    start(config, base=base, examples=examples, folder=folder, timeout_s=timeout_s)
    found = json.loads((folder / OUTCOME).read_text())
    return Outcome(
        result=TrainResult(**found["result"]),
        steps=[StepReport(**step) for step in found["steps"]],
        device=found["device"],
        attention=found["attention"],
        seconds=found["seconds"],
        model=folder / MODEL_FOLDER,
    )


def start(
    config: TrainConfig, *, base: Path, examples: Sequence[TrainingExample], folder: Path,
    module: str = "tests.gpu.bare.alone", timeout_s: float = 300,
) -> None:  # fmt: skip
    """Run `module` as rank 0 of 1 over a job in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    job = TrainJob(config=config, base=str(base))
    told = {"job": job.model_dump(mode="json"), "examples": [asdict(one) for one in examples]}
    (folder / JOB).write_text(json.dumps(told))
    environment = {
        **os.environ, "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", module, str(folder)], env=environment, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s, check=False,
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        raise RuntimeError("the rank failed: " + "\n".join(lines[-15:]))


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


# --- the rank itself


def read_job(folder: Path) -> tuple[TrainJob, list[TrainingExample]]:
    """What `start` wrote."""
    told = json.loads((folder / JOB).read_text())
    job = TrainJob.model_validate(told["job"])
    return job, [TrainingExample(**one) for one in told["examples"]]


def device_figures() -> dict[str, Any]:
    """Peaks of this process: allocated by tensors, reserved by torch, in use on the whole device."""
    import torch

    if not torch.cuda.is_available():
        return {"name": "cpu"}
    free, total = torch.cuda.mem_get_info()
    return {
        "name": torch.cuda.get_device_name(),
        "allocated_bytes": torch.cuda.max_memory_allocated(),
        "reserved_bytes": torch.cuda.max_memory_reserved(),
        "in_use_bytes": total - free,
    }


def main(folder: Path) -> None:
    """Rank `RANK` of the job in `folder`."""
    began = time.monotonic()
    job, examples = read_job(folder)
    link = FolderLink(folder, examples)
    from infra.training.rank import run_rank
    from infra.training.trainer import attention_for

    scratch = folder / f"scratch-{link.rank}"
    scratch.mkdir()
    run_rank(job, link, scratch)
    shutil.rmtree(scratch)
    if link.rank:
        return
    outcome = {
        "result": json.loads((folder / MODEL_FOLDER / RESULT_FILE).read_text()),
        "steps": [asdict(step) for step in link.steps],
        "device": device_figures(),
        "attention": attention_for(job.config),
        "seconds": time.monotonic() - began,
    }
    (folder / OUTCOME).write_text(json.dumps(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
