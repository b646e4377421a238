"""Problem deduplication at ingest: linear in time, bounded in memory, and what it finds.

BENCH_PROBLEMS=20000 makes it a short run; a tenth is compared with the whole either way. Beside it
runs the usual loop over datasketch's MinHashLSH, on a tenth of the problems.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench.synthetic_problems import write_problems

NUM_PROBLEMS = int(os.environ.get("BENCH_PROBLEMS", "1000000"))
MOST_GROWTH = 1.2  # of the time and memory a problem, from a tenth to the whole
NUM_ROUNDS = 2  # the faster counts: a shared machine only ever adds time
MOST_BYTES = 2_500  # a problem
LEAST_FOUND = 0.97  # of the planted near-duplicates
MOST_FOUND = 1.01
ROOT = Path(__file__).parent.parent.parent


def measure(which: str, path: Path, *sizes: int) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.bench.dedup_client", which, str(path)]
    done = subprocess.run(
        [*command, *map(str, sizes)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def show(name: str, found: dict[str, Any]) -> None:
    each = 1e6 / found["problems"]
    print(
        f"{name}: {found['problems']} problems, {found['wall_seconds']:.1f} s,"
        f" CPU {found['seconds']:.1f} s"
        f" ({found['seconds'] * each:.0f} us each), near-duplicates {found['near_seconds']:.1f} s"
        f" ({found['near_seconds'] * each:.0f} us each), {found['mib']:.0f} MiB"
        f" ({found['mib'] * 2**20 / found['problems']:.0f} B each), removed: "
        f"{found.get('duplicate_problem', 0)} exact, {found.get('near_duplicate_question', 0)} near"
    )


def test_deduplication_is_linear_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    num_near = write_problems(path, NUM_PROBLEMS)
    rounds = [measure("ours", path, NUM_PROBLEMS // 10, NUM_PROBLEMS) for _ in range(NUM_ROUNDS)]
    tenth, whole = (
        min(size, key=lambda found: found["seconds"]) for size in zip(*rounds, strict=True)
    )
    (other,) = measure("datasketch", path, NUM_PROBLEMS // 10)
    print(f"\n{num_near} near-duplicates were planted")
    show("ours", tenth)
    show("ours", whole)
    show("datasketch", other)
    growth = whole["near_seconds"] / tenth["near_seconds"] / 10
    in_all = whole["seconds"] / tenth["seconds"] / 10
    memory = whole["mib"] / tenth["mib"] / 10
    faster = other["near_seconds"] / tenth["near_seconds"]
    print(f"growth of time a problem: near-duplicates {growth:.2f}, with reading {in_all:.2f},"
          f" of memory {memory:.2f}; datasketch takes {faster:.1f} times as long")  # fmt: skip
    found = whole["near_duplicate_question"]
    assert LEAST_FOUND * num_near <= found <= MOST_FOUND * num_near
    assert whole["mib"] * 2**20 <= MOST_BYTES * NUM_PROBLEMS
    assert growth <= MOST_GROWTH
    assert in_all <= MOST_GROWTH
    assert memory <= MOST_GROWTH
