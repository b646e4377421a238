"""What `litecot train --plan` counts of a rank's memory, against its measured peak on CPU.

The peak is a rank's resident memory, the fullest of two, over steps of training (not of saving).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.training.budget.fit import ZEROS

ROOT = Path(__file__).parent.parent.parent
CASES = [  # size, stage, tokens of an example, activations kept or computed again
    ("tiny", "zero2", 256, "kept"),
    *(("135M", zero, 256, "kept") for zero in ZEROS),
    ("45M", "zero2", 256, "kept"),
    ("45M", "zero2", 1024, "kept"),
    ("45M", "zero2", 1024, "again"),
    ("45M", "zero3", 1024, "kept"),
    ("135M", "zero3", 512, "again"),
]
LEAST, MOST = 0.75, 1.25  # counted by measured


def measure(size: str, zero: str, length: int, recompute: str) -> dict[str, Any]:
    """In a process of its own, and ranks of its own."""
    command = [sys.executable, "-m", "tests.bench.training_memory", size, zero, length, recompute]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.timeout(3600)
def test_what_is_counted_is_near_what_is_used() -> None:
    print("\nsize  stage          length  activations  measured  counted  counted : measured")
    ratios = []
    for size, zero, length, recompute in CASES:
        found = measure(size, zero, length, recompute)
        assert found["engine"] == "DeepSpeedEngine"
        ratio = found["counted"] / found["measured"]
        print(f"{size:5} {zero:14} {length:6}  {recompute:11}  {found['measured']:8.2f} "
              f"{found['counted']:8.2f}  {ratio:.2f}", flush=True)  # fmt: skip
        ratios.append(ratio)
    assert min(ratios) > LEAST, ratios
    assert max(ratios) < MOST, ratios
