"""Figures of a training run: tokens a second, share of the device's arithmetic, memory against the
plan.

MFU: 6 operations a parameter and token (plus attention), whatever is computed again, over the
published peak of the device in bfloat16 without sparsity; of an unknown device and a CPU over what
a product of large matrices reaches there, which the figures say.
"""

from __future__ import annotations

import time
from typing import Any

from infra.training.budget.memory import memory_of
from infra.training.budget.shape import shape_of
from infra.training.budget.work import operations_a_token
from infra.training.config import TrainConfig
from tests.gpu.bare.models import Made
from tests.rank_runs import Outcome

# TFLOP/s in bfloat16, dense, by makers' data sheets; the first name that is part of the device's.
PEAKS = {
    "B200": 2250, "H200": 989, "H100 PCIe": 756, "H100": 989, "H20": 148, "GH200": 989,
    "A100": 312, "A10G": 70, "A10": 125, "A30": 165, "A40": 150, "L40S": 362, "L40": 181,
    "L4": 121, "A6000": 155, "4090": 165, "3090": 71,
}  # fmt: skip


def peak_of(name: str) -> int | None:
    """TFLOP/s by the data sheet; None: not known."""
    return next((peak for known, peak in PEAKS.items() if known in name), None)


def matrix_tflops(device: str) -> float:
    """What a product of large matrices reaches: bfloat16 on a GPU, float32 on a CPU."""
    import torch

    size, dtype = (8192, torch.bfloat16) if device == "cuda" else (1024, torch.float32)
    one = torch.randn(size, size, dtype=dtype, device=device)
    best = 0.0
    for _ in range(5):
        _wait(device)
        began = time.perf_counter()
        for _ in range(4):
            one @ one
        _wait(device)
        best = max(best, 4 * 2 * size**3 / (time.perf_counter() - began) / 1e12)
    return best


def _wait(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def tokens_per_s(outcome: Outcome) -> float:
    """The median of the steady steps: the first two warm up caches, clocks and the allocator."""
    rates = sorted(report.tokens_per_s for report in outcome.curve if report.step > 2)
    return rates[len(rates) // 2]


def speed_figures(
    outcome: Outcome, config: TrainConfig, made: Made, *, device: str, tokens_each: float
) -> dict[str, Any]:  # fmt: skip
    """As they go into the kit's JSON."""
    shape = shape_of(str(made.folder))
    assert shape is not None
    plain = config.model_copy(update={"gradient_checkpointing": False})
    operations = operations_a_token(
        plain, outcome.result.num_parameters, shape=shape, tokens_each=tokens_each
    )
    steady = tokens_per_s(outcome)
    reached = steady * operations / 1e12
    name = outcome.device["name"]
    sheet, measured = peak_of(name), matrix_tflops(device)
    return {
        "model": made.words,
        "num_parameters": outcome.result.num_parameters,
        "engine": f"{outcome.result.engine}, ZeRO-{outcome.result.zero_stage}",
        "dtype": config.dtype,
        "batching": outcome.result.batching,
        "attention": outcome.device["attention"],
        "gradient_checkpointing": config.gradient_checkpointing,
        "steps": outcome.result.num_steps,
        "tokens_per_s": round(steady, 1),
        "tflops": round(reached, 3),
        "mfu": round(reached / (sheet or measured), 4),
        "mfu_is_of": f"{sheet} TFLOP/s (data sheet)" if sheet else "a measured matrix product",
        "matrix_tflops": round(measured, 3),
        "train_s": round(outcome.result.train_seconds, 1),
        "memory": memory_figures(outcome, config, made),
    }


def memory_figures(outcome: Outcome, config: TrainConfig, made: Made) -> dict[str, Any]:
    """MiB, and the plan's estimate over what was there at most."""
    shape = shape_of(str(made.folder))
    assert shape is not None
    plan, mib = memory_of(shape, config, per_node=1), 2**20
    peak = outcome.result.peak_memory_bytes
    found = {"plan": plan.total, "plan_without_allowance": plan.total - plan.allowance}
    if config.device == "gpu":
        parts = {name: outcome.device[name] for name in ("allocated", "reserved", "beside")}
        peak = parts["reserved"] + parts["beside"]
        found |= parts
    found |= {"peak": peak}
    figures: dict[str, Any] = {f"{name}_mib": round(value / mib) for name, value in found.items()}
    return figures | {"plan_over_peak": round(plan.total / peak, 3)}
