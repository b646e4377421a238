"""`litecot status`: who makes a corpus now and how far, what was killed, what it holds.

Invariants: nothing is written and no lock is kept; killed is told from running by the lock, which a
dead process cannot hold, never by the age of a file; importing this loads nothing heavy.

A sample line: generate  120 of 320, 4.1/s, 50 s left, 8 300 tokens/s, 3 rejected
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from flows.progress.consoles import page
from flows.progress.pace import standing_words
from flows.progress.text import shown

if TYPE_CHECKING:
    from infra.storage.lock import Standing
    from sql.database import Database

SHOWN = 8  # characters of an id
RUNNING, KILLED = "running", "killed"


def standing_of(corpus: str) -> dict[str, Any]:
    """What is told of the corpus' runs, as plain values. Raises CorpusError."""
    from infra.storage.corpus import Corpus

    found = Corpus(corpus)
    here = found.standing()
    writer = found.store.writer()
    return {
        "corpus": corpus,
        "state": "being written" if writer else "at rest",
        "writer": writer,
        "holder": here.holder,
        "runs_told": [
            {"run_id": run_id, "state": _state(told, here), **told}
            for run_id, told in here.runs.items()
        ],
    }


def _state(told: Mapping[str, Any], here: Standing) -> str:
    holder = here.holder or {}
    is_holder = bool(holder) and (told.get("pid"), told.get("since")) == (
        holder.get("pid"), holder.get("since")
    )  # fmt: skip
    return RUNNING if is_holder else KILLED


def stored_of(database: Database) -> dict[str, Any]:
    """Rows by table as `litecot sql` names it, and how each invocation ended."""
    from tasks.schemas import TABLES

    stored = dict(database.run_file("status", "stored_rows").rows)
    return {
        "tables": {f"raw_{table}": stored.get(table, 0) for table in TABLES},
        "runs": database.run_file("status", "runs_and_invocations").records(),
    }


def print_standing(told: Mapping[str, Any]) -> None:
    """For eyes."""
    screen = page()
    screen.print(shown(f"corpus {told['corpus']}"))
    running = [run for run in told["runs_told"] if run["state"] == RUNNING]
    if told["writer"]:
        what = ", ".join(_named(run) for run in running) or "no run: a command that writes"
        screen.print(shown(f"being written by {told['writer']}: {what}"))
    else:
        screen.print("at rest: nobody writes it")
    for run in told["runs_told"]:
        if run["state"] == KILLED:
            screen.print(shown(
                f"{_named(run)} was killed (process {run.get('pid')} on {run.get('host')}, last "
                f"heard of at {run.get('at')}): what it finished is saved, the same command goes on"
            ))  # fmt: skip
        for stage, at in run.get("stages", {}).items():
            screen.print(shown(f"  {_stage_line(stage, at)}"))


def _named(run: Mapping[str, Any]) -> str:
    return f"run {run.get('recipe', '?')} ({run['run_id'][:SHOWN]})"


def _stage_line(stage: str, at: Mapping[str, Any]) -> str:
    if at.get("text"):  # training says its own
        return f"{stage:<16}  {at['text']}"
    words = standing_words(at)
    done, pending = at.get("done", 0), at.get("pending", 0)
    if not pending:
        return f"{stage:<16}  nothing left to do"
    return f"{stage:<16}  {done} of {pending}{', ' if words else ''}{words}"


def print_stored(told: Mapping[str, Any]) -> None:
    """Tables: rows, then runs."""
    screen = page()
    counts = Table("table", "rows", header_style="bold")
    for table, num_rows in told["tables"].items():
        counts.add_row(table, str(num_rows))
    screen.print(counts)
    names = ("recipe", "run_id", "started_at", "status", "num_requests", "num_repeated")
    runs = Table(
        "recipe", "run", "started", "ended", "requests", "lost replies", header_style="bold"
    )
    for row in told["runs"]:
        runs.add_row(*(shown(row[name]) for name in names))
    screen.print(runs)
