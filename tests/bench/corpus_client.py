"""One question asked of a corpus, or its selection done, in a process of its own.

Role: what `test_corpus` measures. It prints one line of JSON: seconds (connecting included), CPU
seconds, rows, and MiB of resident memory at most, beyond what the imports take.

    python -m tests.bench.corpus_client CORPUS analyses kinds_kept
    python -m tests.bench.corpus_client CORPUS pending score [SHARD]
    python -m tests.bench.corpus_client CORPUS select
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from infra.engines import EngineConfig
from infra.runs.plan import RunPlan, StageRun, config_json
from infra.runs.run import Run
from infra.runs.runner import run_stage
from infra.settings import Settings
from infra.storage import Corpus
from sql.database import Database, connect, statement
from sql.pending import count_pending, stream_pending
from tasks import select
from tasks.catalog import STAGES
from tasks.compress import CompressConfig
from tasks.score import ScoreConfig
from tasks.select import SelectConfig
from tests.bench.large_corpus import FINGERPRINTS, RUN
from tests.fakes import WordCounter

THREADS = 2
CONFIGS = {
    "compress": CompressConfig(source="rewritten"),
    "score": ScoreConfig(kinds=("long", "rewritten", "compressed")),
    "select": SelectConfig(original_kinds=("long", "rewritten"), with_compressed=True),
}
SELECT = SelectConfig(keep_per_problem=3, keep_fraction=0.5)


def open_corpus(folder: Path) -> Database:
    """As `litecot ask` does."""
    return connect(Corpus(folder).parts(), run_id=RUN.content_id(), threads=THREADS)


def ask(folder: Path, kind: str, name: str) -> int:
    """All rows of sql/<kind>/<name>.sql, a batch in memory at a time; how many."""
    with open_corpus(folder) as database:
        if name in ("find_id", "lineage"):
            rows = database.run("select rationale_id from stg_rationales limit 1").rows
            database.set_variables(id=rows[0][0])
        query = f"from {name}" if kind == "marts" else statement(kind, name)
        return _count(database.stream(query))


def pending(folder: Path, name: str, shard: str | None = None) -> int:
    """What the stage has left to do: counted, or of a shard all its records read."""
    stage = STAGES[name]
    query: dict[str, Any] = {
        "reads": stage.reads, "table": stage.writes.table, "fingerprint": FINGERPRINTS[name],
        "config": config_json(CONFIGS.get(name) or stage.config()), "shard": shard and int(shard),
    }  # fmt: skip
    with open_corpus(folder) as database:
        if shard is None:
            return count_pending(database, **query)
        query["fingerprint"] = "nothing was done"
        return _count(stream_pending(database, **query))


def do_select(folder: Path) -> int:
    """The stage as the runner does it, to the last row in the corpus."""
    stage = StageRun(stage=select.STAGE, config=SELECT, fingerprint=FINGERPRINTS["select"])
    plan = RunPlan(
        run_id=RUN.content_id(), recipe="bench", resolved="{}", fingerprints=FINGERPRINTS,
        stages={"select": stage}, counter=EngineConfig(model="nano:student"), seed=7,
    )  # fmt: skip
    with Run(plan, corpus=folder, settings=Settings(), tokens=WordCounter()) as run:
        return asyncio.run(run_stage(run, "select")).num_rows


def _count(rows: Iterable[object]) -> int:
    return sum(1 for _ in rows)


def forget_peak() -> None:
    """From here on `peak_mib` counts anew: what the imports needed for a moment is no matter."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """Resident memory of this process at most, since `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main(folder: Path, kind: str, *arguments: str) -> None:
    """Measure one."""
    forget_peak()
    before, started, busy = peak_mib(), time.perf_counter(), time.process_time()
    if kind == "select":
        rows = do_select(folder)
    elif kind == "pending":
        rows = pending(folder, *arguments)
    else:
        rows = ask(folder, kind, *arguments)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "mib": peak_mib() - before, "rows": rows,
                      "cpu_s": time.process_time() - busy}))  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
