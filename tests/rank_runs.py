"""Ranks without Ray, many short trainings in one pair of processes: imports are most of a run.

`torchrun --nproc-per-node 2 -m tests.rank_runs FOLDER` trains each of FOLDER/jobs.json, in order.
A run's checkpoints are in FOLDER/<run>/; two jobs of one run: the second goes on from the first.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any
from unittest.mock import patch

from infra.training.job import TrainJob
from infra.training.link import MODEL, RESULT_FILE, Wish
from infra.training.reports import StepReport, TrainingExample, TrainResult, TrainStart

SOURCE_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class RankJob:
    """One call of run_rank. `stop_at`: the driver wishes to stop once that step is told.

    `mode`: "train"; "plain" with ranks that meet as transformers alone would have them meet on a
    CPU; "packing" measures the packed bins instead (see packed_losses).
    """

    run: str
    base: str
    config: dict[str, Any]
    examples: list[dict[str, Any]]
    stop_at: int | None = None
    mode: str = "train"


@dataclass(kw_only=True)
class Outcome:
    """What a job told, and how it ended."""

    folder: Path
    error: str | None = None
    starts: list[TrainStart] = field(default_factory=list)
    curve: list[StepReport] = field(default_factory=list)
    packed: list[dict[str, float]] = field(default_factory=list)
    device: dict[str, Any] = field(default_factory=dict)  # see _device

    @property
    def model(self) -> Path:
        return self.folder / MODEL

    @property
    def result(self) -> TrainResult:
        return TrainResult(**json.loads((self.model / RESULT_FILE).read_text()))

    @property
    def losses(self) -> list[float]:
        return [r.loss for r in self.curve if r.loss is not None]


def run_jobs(
    folder: Path, jobs: Sequence[RankJob], *, num_ranks: int = 2, num_threads: int = 1
) -> list[Outcome]:
    """What became of each."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "jobs.json").write_text(json.dumps([asdict(job) for job in jobs]))
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        "--nproc-per-node", str(num_ranks), "-m", "tests.rank_runs", str(folder),
    ]  # fmt: skip
    log = folder / f"log-{num_ranks}.txt"
    with log.open("w") as file:
        done = subprocess.run(
            command, cwd=SOURCE_ROOT, stdout=file, stderr=subprocess.STDOUT, check=False,
            env={
                **os.environ, "OMP_NUM_THREADS": str(num_threads), "TOKENIZERS_PARALLELISM": "false"
            },
        )  # fmt: skip
    assert done.returncode == 0, log.read_text()[-4000:]
    return [_outcome(folder, number, job) for number, job in enumerate(jobs)]


def _outcome(folder: Path, number: int, job: RankJob) -> Outcome:
    told = json.loads((folder / f"told-{number}.json").read_text())
    return Outcome(
        folder=folder / job.run,
        error=told["error"],
        starts=[TrainStart(**start) for start in told["starts"]],
        curve=[StepReport(**report) for report in told["curve"]],
        packed=told.get("packed", []),
        device=told.get("device", {}),
    )


class FolderLink:
    """A RankLink over a folder that all ranks see."""

    def __init__(self, folder: Path, job: RankJob) -> None:
        self.rank, self.world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.local_rank = self.rank
        self.attempt = 1
        self.told: dict[str, Any] = {"error": None, "starts": [], "curve": []}
        self._folder, self._job = folder, job
        folder.mkdir(exist_ok=True)

    def examples(self) -> list[TrainingExample]:
        return [TrainingExample(**one) for one in self._job.examples]

    def start(self, start: TrainStart) -> None:
        self.told["starts"].append(asdict(start))

    def tell(self, reports: Sequence[StepReport]) -> Wish:
        self.told["curve"] += [asdict(report) for report in reports]
        stop_at = self._job.stop_at
        is_over = stop_at is not None and any(r.step >= stop_at for r in reports)
        return Wish.STOP if is_over else Wish.GO_ON

    def keep(self, folder: Path | None, *, name: str, held_out_loss: float | None) -> None:
        import torch.distributed as dist

        if folder is not None:
            shutil.copytree(folder, self._folder / name, dirs_exist_ok=True)
        dist.barrier()
        if self.rank == 0:
            with (self._folder / "kept").open("a") as file:
                file.write(json.dumps([name, held_out_loss]) + "\n")
        dist.barrier()

    def _kept(self) -> list[tuple[str, float | None]]:
        file = self._folder / "kept"
        return [tuple(json.loads(line)) for line in file.open()] if file.exists() else []

    @contextmanager
    def last(self) -> Iterator[Path | None]:
        kept = self._kept()
        yield self._folder / kept[-1][0] if kept else None

    @contextmanager
    def best(self) -> Iterator[Path | None]:
        kept = [(loss, name) for name, loss in self._kept() if loss is not None]
        yield self._folder / min(kept)[1] if kept else None


def packed_losses(job: TrainJob, link: FolderLink, scratch: Path) -> list[dict[str, float]]:
    """Of each packed example: its mean loss in its bin, alone, and in its bin among other texts.

    In the bin: as the trainer computes it. Alone: the model's plain logits.
    """
    import torch

    from infra.training.engine import join_ranks, settle_process
    from infra.training.rank import StudentRun

    settle_process(job.config)
    run = StudentRun(job, link, scratch, joined=join_ranks(job.config), last=None)
    trainer = run.trainer
    model = trainer.model.to(trainer.args.device).eval()
    found = []
    with torch.no_grad():
        for row in [one for one in trainer.train_dataset if len(one["seq_lengths"]) > 1]:
            packed = _losses(trainer, row)
            ends = list(accumulate(row["seq_lengths"]))
            for first, end in zip([0, *ends], ends, strict=False):
                ids = torch.tensor([row["input_ids"][first:end]])
                labels = torch.tensor(row["labels"][first:end])[1:]
                logits = model(input_ids=ids.to(model.device), use_cache=False).logits
                scores = logits[0, :-1].double().cpu()
                each = -scores.log_softmax(-1).gather(1, labels.clamp(min=0)[:, None])[:, 0]
                foreign = [
                    token if first <= at < end else (token + 7) % 300
                    for at, token in enumerate(row["input_ids"])
                ]
                among = _losses(trainer, {**row, "input_ids": foreign})
                learnt = labels != -100
                found.append({
                    "packed": float(packed[first : end - 1][learnt].mean()),
                    "alone": float(each[learnt].mean()),
                    "among others": float(among[first : end - 1][learnt].mean()),
                    "borders": float(packed[end - 1 : end].sum()),
                })  # fmt: skip
    return found


def _losses(trainer: Any, row: dict[str, Any]) -> Any:
    inputs = trainer._prepare_inputs(trainer.data_collator([row]))
    return -trainer.model(**inputs, use_cache=False, fused_lm_head=True).log_probs[0].double().cpu()


def _main() -> None:
    folder = Path(sys.argv[1])
    for number, given in enumerate(json.loads((folder / "jobs.json").read_text())):
        told = _run(folder, RankJob(**given))
        if int(os.environ["RANK"]) == 0:
            (folder / f"told-{number}.json").write_text(json.dumps(told))


def _run(folder: Path, job: RankJob) -> dict[str, Any]:
    from accelerate.state import AcceleratorState, PartialState

    from infra.training.config import TrainConfig
    from infra.training.job import TrainJob, reason_of
    from infra.training.rank import run_rank

    link = FolderLink(folder / job.run, job)
    scratch = folder / f"scratch-{link.rank}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    AcceleratorState._reset_state()
    PartialState._shared_state.clear()
    _forget_peaks()
    spoilt = patch("infra.training.rank.join_ranks", _join_as_transformers_would)
    given = TrainJob(config=TrainConfig(**job.config), base=job.base)
    try:
        with spoilt if job.mode == "plain" else nullcontext():
            if job.mode == "packing":
                link.told["packed"] = packed_losses(given, link, scratch)
            else:
                run_rank(given, link, scratch)
    except Exception as error:
        import traceback

        traceback.print_exc()
        link.told["error"] = reason_of(error)
    link.told["device"] = _device(given)
    return link.told


def _forget_peaks() -> None:
    import gc

    import torch

    gc.collect()
    gc.freeze()  # what imports made: or each collection, and there are some in each job, reads it
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _device(job: TrainJob) -> dict[str, Any]:
    """What it was, what attended, and of a GPU the bytes: allocated by tensors and reserved by
    torch at most, and what beside those is taken of it (CUDA's context, libraries)."""
    import torch

    from infra.training.trainer import attention_for

    found: dict[str, Any] = {"name": "cpu", "attention": attention_for(job.config)}
    if job.config.device == "gpu":
        free, total = torch.cuda.mem_get_info()
        found |= {
            "name": torch.cuda.get_device_name(),
            "allocated": torch.cuda.max_memory_allocated(),
            "reserved": torch.cuda.max_memory_reserved(),
            "beside": total - free - torch.cuda.memory_reserved(),
        }
    return found


def _join_as_transformers_would(_: Any) -> dict[str, Any]:
    os.environ["ACCELERATE_USE_CPU"] = "true"
    return {"use_cpu": True, "ddp_backend": "gloo"}


if __name__ == "__main__":
    _main()
