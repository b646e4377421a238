"""Memory of the driver over a long stage: what it holds does not grow with what it has done.

BENCH_RECORDS=20000 makes it a short run; the first tenth is compared with the last either way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.bench.runner_client import REPLY, num_stored, prepare
from tests.chat_server import ServerConfig, serving_in_process

NUM_RECORDS = int(os.environ.get("BENCH_RECORDS", "200000"))
IN_FLIGHT = 256
NUM_SAMPLES = 100
MOST_GROWTH = 1.3
ROOT = Path(__file__).parent.parent.parent


def measure(base_url: str, corpus: Path) -> list[float]:
    """MiB resident, NUM_SAMPLES times at equal distances."""
    sizes = (IN_FLIGHT, NUM_RECORDS // NUM_SAMPLES)
    command = [sys.executable, "-m", "tests.bench.runner_client", base_url, corpus, *sizes]
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return [json.loads(line)["mib"] for line in done.stdout.splitlines()]


def test_memory_stays_flat(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    prepare(corpus, NUM_RECORDS)
    with serving_in_process(ServerConfig(reply=REPLY)) as base_url:
        samples = measure(base_url, corpus)
    assert len(samples) == NUM_SAMPLES
    assert num_stored(corpus) == NUM_RECORDS
    tenth = NUM_SAMPLES // 10
    early, late = max(samples[:tenth]), max(samples[-tenth:])
    print(f"\nresident memory of the driver, MiB, at most: {early:.0f} in the first "
          f"{NUM_RECORDS // 10} records, {late:.0f} in the last of {NUM_RECORDS}; "
          f"ratio {late / early:.2f}")  # fmt: skip
    print("  " + " ".join(f"{mib:.0f}" for mib in samples[tenth - 1 :: tenth]))
    assert late <= MOST_GROWTH * early
