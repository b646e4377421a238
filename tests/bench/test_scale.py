"""One driver and 16, 128 or 1 000 simulated GPUs (scale_client.py): who waits for whom.

BENCH_SCALE="16 16-s3 128 1000" chooses; the last takes ten minutes of two cores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.bench.scale_client import LENGTHS, SEQUENCES, TOKENS_PER_S, length
from tests.s3_server import s3_service

ROOT = Path(__file__).parent.parent.parent
CHOSEN = os.environ.get("BENCH_SCALE", "16 16-s3 128").split()
BUSY = 0.9  # at least, where one driver is to do
MEAN_TOKENS = sum(length((place + 0.5) / 1000) for place in range(1000)) / 1000


@dataclass(frozen=True, kw_only=True)
class Size:
    """GPUs, how often faster than real time they work, and how many records they get."""

    num_gpus: int
    compression: float
    num_records: int
    in_bucket: bool = False
    least_busy: float = BUSY

    @property
    def demand(self) -> float:
        """Records a second that keep all slots at work."""
        return self.num_gpus * SEQUENCES * TOKENS_PER_S * self.compression / MEAN_TOKENS


SIZES = {
    "16": Size(num_gpus=16, compression=8, num_records=6_000),
    "16-s3": Size(num_gpus=16, compression=8, num_records=6_000, in_bucket=True),
    "128": Size(num_gpus=128, compression=1, num_records=24_000),
    "1000": Size(num_gpus=1000, compression=1, num_records=100_000, least_busy=0.0),
}
HEAD = (
    "GPUs",
    "faster",
    "wanted/s",
    "got/s",
    "busy",
    "in flight",
    "cores",
    "loop ms",
    "MiB",
    "parts",
)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", CHOSEN)
def test_how_busy_the_gpus_are(name: str, tmp_path: Path) -> None:
    size = SIZES[name]
    if size.in_bucket:
        with s3_service() as s3:
            found = measure(size, s3.new_corpus())
    else:
        found = measure(size, str(tmp_path / "corpus"))
    print("\n" + "".join(f"{word:>10}" for word in HEAD))
    cells = (
        name, f"{size.compression:g}x", f"{size.demand:.0f}", f"{found['records_per_s']:.0f}",
        f"{found['busy']:.3f}", found["in_flight"], f"{found['cpu']:.2f}",
        f"{found['loop_ms']:.2f}", f"{found['mib']:.0f}", found["num_parts"],
    )  # fmt: skip
    print("".join(f"{cell:>10}" for cell in cells))
    print(f"  journal {found['journal_mib']:.0f} MiB at most, corpus {found['corpus_mib']:.1f} "
          f"MiB, {found['seconds']:.0f} s, of these steady {found['steady_s']:.0f}; mean chain "
          f"{MEAN_TOKENS:.0f} of {LENGTHS[-1]} tokens")  # fmt: skip
    assert found["in_flight"] <= size.num_gpus * SEQUENCES
    assert size.least_busy < found["busy"] <= 1


def measure(size: Size, corpus: str) -> dict[str, Any]:
    """In a process of its own."""
    orders = {
        "corpus": corpus, "num_gpus": size.num_gpus, "num_records": size.num_records,
        "compression": size.compression,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.scale_client", json.dumps(orders)],
        cwd=ROOT, capture_output=True, text=True, timeout=3600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
