"""Packed bins: an example's loss is its own, whatever shares its bin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.bare.alone import OUTCOME, start
from tests.gpu.bare.models import chains
from tests.gpu.bare.test_training import settings
from tests.tiny_models import save_tiny_model

pytestmark = pytest.mark.gpu


def test_a_bin_is_read_example_by_example(
    device: str, tmp_path: Path, figures: dict[str, Any]
) -> None:
    config = settings(device, batching="packed", bin_length=1024, max_length=512)
    base = save_tiny_model(tmp_path / "base", width=64)
    folder = tmp_path / "run"
    start(
        config, base=base, examples=chains(24, words=lambda draw: draw.randrange(2, 9)),
        folder=folder, module="tests.gpu.bare.bins",
    )  # fmt: skip
    figures |= json.loads((folder / OUTCOME).read_text())
    assert figures["examples_a_bin"] >= 3
    assert figures["compared_tokens"] > 20
    assert figures["contamination"] == 0
    # bfloat16 rounds a kernel's sums at other places for another layout
    assert figures["packed_off_alone"] < (1e-5 if device == "cpu" else 0.1)
