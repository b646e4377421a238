"""A corpus of a million rationales on two cores: resume, marts, questions, checks, selection.

Each is asked in a process of its own. BENCH_RATIONALES=20000 makes it a short run; the texts and
lengths are those of recorded chains (shared/data), so it is skipped where they are absent.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from infra.storage import Corpus, CorpusWriter, checked, local, soundness
from infra.storage.manifest import Part
from infra.storage.store import FileState
from sql.database import names
from tests.bench.large_corpus import GROUPS_FILE, LITECOT, LONG_FILE, MORSD, Shape, write_corpus

NUM_RATIONALES = int(os.environ.get("BENCH_RATIONALES", "1000000"))
MOST_SECONDS = 5.0
LEAST_MIB_A_SECOND = 300.0  # of reading parts and summing them
MOST_GROWTH = 1.2  # of the time a rationale takes, from a tenth of the corpus to all of it
ROOT = Path(__file__).parent.parent.parent
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}
EXPORTS = ("published_examples",)  # every text of a snapshot: no question, read as a stream
STAGES = ("generate", "difficulty", "rewrite", "compress", "score", "select", "mix")
BY_SHARD = ("generate", "verify", "difficulty", "rewrite", "compress", "score")
SHARD = "1"
Measured = dict[str, float]

pytestmark = pytest.mark.skipif(
    not (LONG_FILE.exists() and GROUPS_FILE.exists()), reason="no shared/data beside this checkout"
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from written(tmp_path_factory.mktemp("litecot") / "corpus", NUM_RATIONALES, LITECOT)


def written(folder: Path, num_rationales: int, shape: Shape) -> Iterator[Path]:
    """A corpus, gone afterwards: they are large."""
    import shutil

    write_corpus(folder, num_rationales=num_rationales, shape=shape)
    yield folder
    shutil.rmtree(folder)


def measure(corpus: Path, *arguments: str) -> Measured:
    """Seconds, MiB and rows of one question (tests/bench/corpus_client.py)."""
    command = [sys.executable, "-m", "tests.bench.corpus_client", str(corpus), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True
    )
    found: Measured = json.loads(done.stdout.splitlines()[-1])
    told = " ".join(arguments)
    print(f"  | {told} | {found['rows']:.0f} | {found['seconds']:.2f} | "
          f"{found['cpu_s']:.2f} | {found['mib']:.0f} |")  # fmt: skip
    return found


def test_every_question_is_answered_in_seconds(corpus: Path) -> None:
    print(f"\n{NUM_RATIONALES} rationales, 2 threads\n  | asked | rows | seconds | CPU s | MiB |")
    slow = {}
    for kind in ("marts", "analyses", "checks"):
        for name in names(kind):
            found = measure(corpus, kind, name)
            if found["seconds"] >= MOST_SECONDS and name not in EXPORTS:
                slow[name] = found["seconds"]
            assert kind != "checks" or found["rows"] == 0, name
    assert not slow


def test_what_is_left_to_do_is_known_in_seconds(corpus: Path) -> None:
    """Counted over all shards, and the records of one shard read with their texts."""
    print("\n  | pending | records | seconds | CPU s | MiB |")
    asked = [(name,) for name in STAGES] + [(name, SHARD) for name in BY_SHARD]
    found = {one: measure(corpus, "pending", *one) for one in asked}
    assert found[("generate",)]["rows"] > 0
    slow = {one: m["seconds"] for one, m in found.items() if m["seconds"] >= MOST_SECONDS}
    assert not slow


def test_checking_every_byte_costs_a_runs_start_little(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened for writing as a run opens it: by sizes and footers as before, all read, all known."""
    parts = [Path(file) for files in Corpus(corpus).parts().values() for file in files]
    mib = sum(part.stat().st_size for part in parts) / 2**20
    monkeypatch.setenv("LITECOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(local, "SETTLED_NS", -1)  # written just now, they would not be remembered
    first_s, known_s = opened(corpus), min(opened(corpus) for _ in range(3))
    with monkeypatch.context() as before:
        before.setattr(soundness, "part_fault", footer_fault)
        before.setattr(checked.Checked, "knows", lambda *_: False)
        before_s = min(opened(corpus) for _ in range(3))
    started = time.perf_counter()
    assert not any(one.fault for one in Corpus(corpus).looked_through())
    check_s = time.perf_counter() - started
    print(f"\n  {len(parts)} parts of {mib:.0f} MiB | opened before {before_s:.3f} s | first "
          f"{first_s:.3f} s | known {known_s:.3f} s | corpus check {check_s:.3f} s")  # fmt: skip
    assert known_s <= before_s * MOST_GROWTH
    assert first_s - before_s <= mib / LEAST_MIB_A_SECOND + 0.5


def opened(corpus: Path) -> float:
    """Seconds to open a corpus for writing and close it."""
    started = time.perf_counter()
    CorpusWriter(corpus).close()
    return time.perf_counter() - started


def footer_fault(
    store: Any, name: str, part: Part, state: FileState | None, *, deep: bool
) -> str | None:
    """What was looked at before parts had checksums."""
    if state is None or state.size != part.bytes:
        return "is cut off"
    with pq.ParquetFile(store.open(name)) as file:
        return None if file.metadata.num_rows == part.rows else "has other rows"


def test_selection_grows_no_faster_than_the_corpus(tmp_path: Path) -> None:
    print("\n  | selection | rows | seconds | CPU s | MiB |")
    costs = []
    for num_rationales in (NUM_RATIONALES // 10, NUM_RATIONALES):
        for folder in written(tmp_path / "corpus", num_rationales, MORSD):
            costs.append(measure(folder, "select"))
    small, large = costs
    assert large["rows"] >= 0.9 * NUM_RATIONALES
    growth = (large["seconds"] / large["rows"]) / (small["seconds"] / small["rows"])
    print(f"  a rationale takes {growth:.2f} times as long; memory {small['mib']:.0f} -> "
          f"{large['mib']:.0f} MiB")  # fmt: skip
    assert growth <= MOST_GROWTH
    assert large["mib"] / small["mib"] <= 10 * MOST_GROWTH
