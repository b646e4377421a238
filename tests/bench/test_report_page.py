"""The page of a corpus of 100 000 rationales, by the command, in a process of its own.

BENCH_RATIONALES=5000 makes it a short run; texts and lengths are those of recorded chains
(shared/data), so it is skipped where they are absent.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench.large_corpus import GROUPS_FILE, LITECOT, LONG_FILE, write_corpus

NUM_RATIONALES = int(os.environ.get("BENCH_RATIONALES", "100000"))
MOST_SECONDS = 20.0
MOST_BYTES = 5_000_000
ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.skipif(
    not (LONG_FILE.exists() and GROUPS_FILE.exists()), reason="no shared/data beside this checkout"
)


def test_a_large_corpus_has_a_small_page_soon(tmp_path: Path) -> None:
    folder, output = tmp_path / "corpus", tmp_path / "report.html"
    write_corpus(folder, num_rationales=NUM_RATIONALES, shape=LITECOT)
    command = [sys.executable, "-m", "flows.cli.main", "report", "--corpus", str(folder)]
    print(f"\n{NUM_RATIONALES} rationales\n  | seconds | CPU s | KB |")
    took = []
    for force in ([], ["--force"]):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        subprocess.run(
            [*command, "--output", str(output), *force], cwd=ROOT, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        took.append(time.perf_counter() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"  | {took[-1]:.1f} | {cpu_s:.1f} | {output.stat().st_size / 1000:.0f} |")
    assert output.stat().st_size < MOST_BYTES
    assert min(took) < MOST_SECONDS
