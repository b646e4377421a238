"""Packed bins: an example's loss is its own, whatever shares its bin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.gpu.bare.models import chains
from tests.gpu.bare.ranks import settings, train
from tests.tiny_models import save_tiny_model

pytestmark = pytest.mark.gpu


def test_a_bin_is_read_example_by_example(
    device: str, tmp_path: Path, figures: dict[str, Any]
) -> None:
    """In its bin, alone, and in its bin among other texts (tests/rank_runs.py)."""
    config = settings(device, batching="packed", bin_length=1024, max_length=512)
    base = save_tiny_model(tmp_path / "base", width=64)
    examples = chains(24, words=lambda draw: draw.randrange(2, 9))
    (found,) = train(
        {"bins": config}, base=base, examples=examples, folder=tmp_path / "runs", mode="packing"
    ).values()
    measured = found.packed
    figures |= {
        "attention": found.device["attention"], "dtype": config.dtype, "examples": len(measured),
        "contamination": max(abs(one["packed"] - one["among others"]) for one in measured),
        "packed_off_alone": max(abs(one["packed"] - one["alone"]) for one in measured),
        "loss_at_borders": max(abs(one["borders"]) for one in measured),
    }  # fmt: skip
    assert len(measured) > 10
    assert figures["contamination"] == 0
    assert figures["loss_at_borders"] == 0
    # bfloat16 rounds a kernel's sums at other places for another layout
    assert figures["packed_off_alone"] < (1e-5 if device == "cpu" else 0.05)
