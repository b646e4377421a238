"""A run's whole process tree is killed: how, and what is then looked for in its corpus."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePath

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
    return unneeded(str(path.relative_to(corpus)) for path in corpus.rglob("*"))


def unneeded(names: Iterable[str]) -> list[str]:
    """Those of the corpus' files that a finished run has no use for."""
    marks = (".tmp", ".training", ".staging", "failed.log")
    return [name for name in names if any(mark in PurePath(name).name for mark in marks)]
