"""The commands of `litecot corpus` that change something: what they say before and after.

A sample: `compact("corpus")` prints "corpus: 120 parts are 16 now, 3.1 MiB are superseded".
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import typer

from flows.cli.corpus.shown import print_table, show_prune
from flows.progress.slow import shown_if_slow
from flows.progress.text import say
from infra.care import copying, merging, migrating
from infra.care.pruning import Policy, Prune, apply, plan
from infra.care.words import amount, size
from infra.storage import Corpus, CorpusWriter
from infra.storage.manifest import Manifest
from tasks.errors import UsageError
from tasks.schemas import SCHEMA, TABLES

_HOURS = {"h": 1, "d": 24, "w": 7 * 24}


def compact(location: str) -> None:
    """All tables to few parts. Raises CorpusError: no corpus, or somebody writes it."""
    before = Corpus(location).manifest()
    with (
        shown_if_slow("reading the parts") as advance,
        CorpusWriter(location, advance=advance) as writer,
    ):
        for warning in writer.warnings:
            say(warning)
        writer.compact()
        after = writer.manifest
    gone = {*before.files} - {*after.files}
    replaced = sum(
        p.bytes for t, live in before.parts.items() for p in live if f"{t}/{p.name}" in gone
    )
    said = f"{location}: {amount(_count(before), 'part')} {'are' if _count(before) != 1 else 'is'}"
    said += f" {_count(after)} now"
    if replaced:
        said += f"; {size(replaced)} of replaced parts stay some minutes for who reads them"
    say(said)


def prune(
    location: str, *, keep_runs: int | None, older_than: str | None, runs: Sequence[str],
    leftovers: bool, dry_run: bool, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Show what goes, ask, and do it. Raises UsageError, CorpusError."""
    if keep_runs is None and older_than is None and not leftovers and not runs:
        raise UsageError("say what goes: --keep-runs 3, --older-than 30d, --run ID or --leftovers")
    if runs and (keep_runs is not None or older_than is not None):
        raise UsageError("--run names the runs that go: leave out --keep-runs and --older-than")
    since = None if older_than is None else (datetime.now(UTC) - _age(older_than)).isoformat()
    policy = Policy(keep_runs=keep_runs, since=since, runs=tuple(runs), leftovers=leftovers)
    corpus = Corpus(location)
    with shown_if_slow("reading the parts") as advance:
        planned = plan(corpus, policy, advance)
    show_prune(planned, as_json=as_json)
    if dry_run or not planned.num_bytes:
        return
    if not yes and not _asked(planned):
        return
    with shown_if_slow("reading the parts") as advance:
        freed = apply(corpus, policy, planned, advance)
    say(f"{location}: {size(freed)} ({freed} bytes) are free", file=sys.stderr)
    if freed != planned.num_bytes:
        say(
            f"{location}: {planned.num_bytes} bytes were said: what had been finished and not "
            "stored, or was being written, is in parts now",
            file=sys.stderr,
        )


def copy(location: str, to: str) -> None:
    """Raises CorpusError."""
    with shown_if_slow("copying") as advance:
        done = copying.copy(Corpus(location), to, advance)
    said = f"{to}: {amount(done.num_parts, 'part')}, {amount(done.num_rows, 'row')}"
    said += f" and {amount(done.num_students, 'student')} as in {location}; "
    said += f"{size(done.num_bytes)} sent, {size(done.num_there)} were there"
    say(said)
    if done.num_waiting:
        say(
            f"{location}: {amount(done.num_waiting, 'finished record')} of its journal in no part "
            f"yet and not copied; `litecot corpus compact --corpus {location}` brings them in"
        )


def merge(locations: Sequence[str], *, into: str) -> None:
    """Raises UsageError, CorpusError."""
    if len(locations) < 2:
        raise UsageError("name two corpora or more to merge")
    with shown_if_slow("reading the parts") as advance:
        done = merging.merge([Corpus(one) for one in locations], into, advance)
    print_table(
        ("table", "rows that came", "there already"),
        [
            (table, done.num_rows.get(table, 0), done.num_twice.get(table, 0))
            for table in TABLES
            if done.num_rows.get(table) or done.num_twice.get(table)
        ],
    )
    rows, twice = sum(done.num_rows.values()), sum(done.num_twice.values())
    say(
        f"{into}: {amount(rows, 'row')} and {amount(done.num_students, 'student')} came, "
        f"{amount(twice, 'row')} {'was' if twice == 1 else 'were'} there already"
    )


def migrate(location: str) -> None:
    """Raises CorpusError."""
    with shown_if_slow("reading the parts") as advance:
        done = migrating.migrate(location, advance)
    if not done.num_parts and done.before == SCHEMA:
        say(f"{location}: has schema {SCHEMA}, nothing to do")
        return
    said = f"{location}: schema {done.before} is {SCHEMA} now; {amount(done.num_parts, 'part')}"
    say(f"{said} written anew")


def _asked(planned: Prune) -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("nobody is here to be asked: pass --yes, or --dry-run to only look")
    return typer.confirm(f"Free {size(planned.num_bytes)}?")


def _age(said: str) -> timedelta:
    number, unit = said[:-1], said[-1:]
    if not number.isdecimal() or unit not in _HOURS:
        raise UsageError(f"--older-than {said}: give hours, days or weeks, e.g. 12h, 30d or 8w")
    return timedelta(hours=int(number) * _HOURS[unit])


def _count(manifest: Manifest) -> int:
    return len(manifest.files)
