"""Trainings of one rank on the device, in a process of their own, without Ray (tests/rank_runs.py).

DeepSpeed settles a process for good, and a check that dies with its process still has figures.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infra.training.config import TrainConfig
from infra.training.reports import TrainingExample
from tests.rank_runs import Outcome, RankJob, run_jobs


def settings(device: str, **changes: Any) -> TrainConfig:
    """One rank on the device; float32 on a CPU, whose bfloat16 is emulated."""
    on_gpu = device == "cuda"
    told = {
        "device": "gpu" if on_gpu else "cpu", "num_ranks": 1, "epochs": 1, "warmup_ratio": 0.0,
        "dtype": "bfloat16" if on_gpu else "float32", "zero": "zero2", "divergence_factor": 0,
    }  # fmt: skip
    return TrainConfig.model_validate(told | changes)


def train(
    configs: Mapping[Any, TrainConfig], *, base: Path, examples: Sequence[TrainingExample],
    folder: Path, mode: str = "train",
) -> dict[Any, Outcome]:  # fmt: skip
    """One after the other, by their names. Raises AssertionError with what a rank had to say."""
    jobs = [
        RankJob(
            run=name, base=str(base), config=config.model_dump(), mode=mode,
            examples=[asdict(one) for one in examples],
        )
        for name, config in configs.items()
    ]  # fmt: skip
    threads = min(8, os.cpu_count() or 1)
    found = run_jobs(folder, jobs, num_ranks=1, num_threads=threads)
    log = folder / "log-1.txt"
    for outcome in found:
        assert outcome.error is None, f"{outcome.error}\n{log.read_text(errors='replace')[-3000:]}"
    return dict(zip(configs, found, strict=True))
