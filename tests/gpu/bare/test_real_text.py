"""MoRSD's effects on real text: flows/real_text/design.toml at full size on a GPU, one example of
everything on a CPU. GPU_KIT_DATA names the folder of recorded rationales (docs/evaluation.md).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.bare.models import Made
from tests.gpu.bare.real_text import DESIGN, RealText

pytestmark = pytest.mark.gpu
BUDGET_S = 420.0  # no seed is begun that would not end in it
TINY = {"seeds": 1, "labelled": 2, "pool": 8, "read": 1, "answered": 1, "max_tokens": 8,
        "arms": ["rd-lowest", "all"]}  # fmt: skip


def scale_for(device: str) -> dict[str, Any]:
    full = DESIGN["sizes"]["full"]
    arms = full["arms"] or list(DESIGN["arms"])
    whole = {**full, "arms": arms, "max_tokens": DESIGN["common"]["evaluate.max_tokens"]}
    return whole if device == "cuda" else {**whole, **TINY, "set": {**full["set"], **{
        "train.max_steps": 2, "train.per_rank_batch_size": 2}}}  # fmt: skip


def test_effects_on_real_text(
    device: str, smollm2: Made, tmp_path: Path, figures: dict[str, Any]
) -> None:
    data = os.environ.get("GPU_KIT_DATA")
    if not data:
        pytest.skip("GPU_KIT_DATA names no folder of recorded rationales")
    if not smollm2.is_real:
        pytest.skip(f"no real student: {smollm2.words}")
    scale = scale_for(device)
    RealText(
        data=Path(data), base=smollm2.folder, folder=tmp_path, device=device, scale=scale,
        budget_s=BUDGET_S, figures=figures,
    ).run()  # fmt: skip
    assert len(figures["students"]) + len(scale["arms"]) * len(figures["left_out"]) == (
        len(scale["arms"]) * scale["seeds"]
    )
    base = {row["problem_id"]: row["solution"] for row in figures["base"]}
    for student in figures["students"]:
        assert any(abs(base[row["problem_id"]] - row["solution"]) > 1e-6 for row in student["read"])
