"""Runs a recipe, kills its whole process tree at random moments, runs it again to the end.

python -m tests.integration.crash --kills 5
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from infra.storage import Corpus
from sql.database import connect
from tasks.schemas import TABLES

# What a kill may change: when a row was written and how long its model took.
TIMES = {"created_at", "latency_s", "train_seconds", "versions"}
PER_INVOCATION = {"invocations"}
POLL_S = 0.05
FINISH_LIMIT_S = 500
NUM_DIGITS = 9  # behind the point; the noise begins at the sixteenth
LONGEST_PAUSE_S = 1.5  # random time after the request at which the kill is due


@dataclass
class CrashReport:
    """What the kills came to."""

    killed_after_requests: list[int] = field(default_factory=list)
    num_requests: int = 0
    num_repeated: int = 0
    differing_tables: list[str] = field(default_factory=list)
    duplicate_ids: dict[str, int] = field(default_factory=dict)
    leftovers: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)


def start(
    corpus: Path, arguments: Sequence[str], *, has_own_ray: bool = False
) -> subprocess.Popen[bytes]:
    """`litecot run` in a process of its own."""
    command = [sys.executable, "-m", "flows.cli.main", "run", *arguments, "--corpus", str(corpus)]
    left_out = {"RAY_ADDRESS", "RAY_AUTH_MODE"} if has_own_ray else set()
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    with corpus.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)


def finish(corpus: Path, arguments: Sequence[str]) -> None:
    """Run to the end; what it printed where it fails."""
    if start(corpus, arguments).wait(timeout=FINISH_LIMIT_S) != 0:
        raise RuntimeError(corpus.with_suffix(".log").read_text()[-4000:])


def kill_tree(pid: int) -> float:
    """SIGKILL to the process and everything it started; the Unix time of the first.

    Looking for the children takes some requests' time, so the clock is read after it.
    """
    root = psutil.Process(pid)
    tree = [root, *root.children(recursive=True)]
    killed_at = time.time()
    for process in tree:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    return killed_at


def num_issued(corpus: Path) -> int:
    """Requests sent so far over the corpus' life."""
    journal = corpus / "_journal" / "journal.sqlite"
    if not journal.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=1) as connection:
            row = connection.execute("select coalesce(sum(issued), 0) from requests").fetchone()
        return int(row[0])
    except sqlite3.Error:
        return 0


def kill_when(corpus: Path, arguments: Sequence[str], *, is_due: Callable[[], bool]) -> float:
    """Start, kill the tree once it is due; the Unix time of the kill, 0 where it ended before.

    Its engines are in the tree: where others may join a Ray (RAY_ADDRESS), it has its own.
    """
    process = start(corpus, arguments, has_own_ray=True)
    while process.poll() is None and not is_due():
        time.sleep(POLL_S)
    if process.poll() is not None:
        return 0.0
    killed_at = kill_tree(process.pid)
    process.wait()
    return killed_at


def kill_after(corpus: Path, arguments: Sequence[str], *, requests: int, pause_s: float) -> bool:
    """Start, wait for the request, wait a little longer, kill; False where it ended before."""
    reached_at: list[float] = []

    def is_due() -> bool:
        if not reached_at and num_issued(corpus) >= requests:
            reached_at.append(time.monotonic())
        return bool(reached_at) and time.monotonic() >= reached_at[0] + pause_s

    return kill_when(corpus, arguments, is_due=is_due) > 0


def rows(where: Path | str) -> dict[str, list[str]]:
    """Table -> its rows as sorted JSON, without times and the noise of a sum's order."""
    corpus = Corpus(where)
    database = connect(corpus.parts(), through=corpus.store.files)
    found = {}
    for table in TABLES.keys() - PER_INVOCATION:
        records = database.run(f"from raw_{table}").records()
        kept = [{k: steady(v) for k, v in row.items() if k not in TIMES} for row in records]
        found[table] = sorted(json.dumps(record, sort_keys=True) for record in kept)
    return found


def steady(value: object) -> object:
    """A score's last digits depend on what else was in its batch."""
    return round(value, NUM_DIGITS) if isinstance(value, float) else value


def crash_and_compare(
    calm: Path, struck: Path, arguments: Sequence[str], *, kills: int, seed: int
) -> CrashReport:
    """The whole experiment. `calm`: made by the same arguments, killed never."""
    rng = random.Random(seed)
    report = CrashReport()
    total = num_issued(calm)
    for moment in sorted(rng.randrange(1, total) for _ in range(kills)):
        pause_s = rng.uniform(0, LONGEST_PAUSE_S)
        if kill_after(struck, arguments, requests=moment, pause_s=pause_s):
            report.killed_after_requests.append(num_issued(struck))
    finish(struck, arguments)
    expected, found = rows(calm), rows(struck)
    report.rows = {table: len(found[table]) for table in sorted(found)}
    report.differing_tables = sorted(t for t in found if found[t] != expected[t])
    report.duplicate_ids = duplicate_ids(struck)
    report.leftovers = leftovers(struck)
    report.num_requests, report.num_repeated = num_issued(struck), num_issued(struck) - total
    return report


def duplicate_ids(corpus: Path) -> dict[str, int]:
    """Table -> rows whose id another row has too."""
    database = connect(Corpus(corpus).parts())
    found = {}
    for table in TABLES.keys() - PER_INVOCATION:
        query = f"select count(*) - count(distinct {TABLES[table].key}) from raw_{table}"
        if count := database.run(query).rows[0][0]:
            found[table] = count
    return found


def leftovers(corpus: Path) -> list[str]:
    """Temporary or staging files that a finished run has no use for."""
    marks = (".tmp", ".training", ".staging", "failed.log")
    return [
        str(path.relative_to(corpus))
        for path in corpus.rglob("*")
        if any(mark in path.name for mark in marks)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("arguments", nargs="*", default=["nano"])
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    options.folder.mkdir(parents=True, exist_ok=True)
    calm = options.folder / "calm"
    finish(calm, options.arguments)
    report = crash_and_compare(
        calm, options.folder / "struck", options.arguments, kills=options.kills, seed=options.seed
    )
    print(json.dumps(vars(report) | {"seed": options.seed}, indent=2))


if __name__ == "__main__":
    main()
