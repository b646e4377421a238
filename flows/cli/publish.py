"""`litecot publish`: a snapshot of a run's training examples, and its upload where asked for."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from flows.cli.readers import open_corpus
from flows.progress.text import say
from infra.publishing.hub import check_push, push_snapshot
from infra.publishing.snapshot import write_snapshot
from tasks.errors import UsageError


def publish_run(
    corpus: str, folder: Path, *, licences: Sequence[str], push: str | None, run_id: str | None
) -> None:
    """Write the snapshot, say where it is, upload it. Raises UsageError, PublishError."""
    if push is not None:
        check_push(push)
    with open_corpus(corpus, run_id=run_id) as database:
        snapshot = write_snapshot(database, folder, licences=parse_licences(licences))
    say(f"{snapshot.num_examples} examples in {snapshot.folder}; its card: {folder / 'README.md'}")
    for source in snapshot.unlicensed:
        say(
            f"litecot: the licence of {source} is unknown, and the card says so; state it "
            f"with --licence {shlex.quote(f'{source}=...')}",
            file=sys.stderr,
        )
    if not snapshot.is_loaded_by_name:
        say("datasets takes the name of this folder for a pattern, so by its name it is not loaded")
    say(f"load it with {snapshot.loading_line}")
    if push is not None:
        say(f"uploaded to {push_snapshot(snapshot.folder, push)}")


def parse_licences(given: Sequence[str]) -> dict[str, str]:
    """`source=licence` each. Raises UsageError."""
    pairs = [text.rpartition("=") for text in given]
    for text, (source, _, licence) in zip(given, pairs, strict=True):
        if not source or not licence:
            raise UsageError(f"--licence {text!r}: write source=licence, e.g. gsm8k.jsonl=MIT")
    return {source: licence for source, _, licence in pairs}
