"""`litecot publish`, `litecot publish-model`: a folder to share, and its upload where asked for."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from flows.cli.readers import open_corpus
from flows.progress.text import say
from infra.publishing.hub import check_push, push_folder
from infra.publishing.licences import UNKNOWN
from infra.publishing.snapshot import write_snapshot
from infra.storage import Corpus
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
        say(f"uploaded to {push_folder(snapshot.folder, push)}")


def parse_licences(given: Sequence[str]) -> dict[str, str]:
    """`source=licence` each. Raises UsageError."""
    pairs = [text.rpartition("=") for text in given]
    for text, (source, _, licence) in zip(given, pairs, strict=True):
        if not source or not licence:
            raise UsageError(f"--licence {text!r}: write source=licence, e.g. gsm8k.jsonl=MIT")
    return {source: licence for source, _, licence in pairs}


def publish_student(
    corpus: str,
    folder: Path,
    *,
    model: str | None,
    licences: Sequence[str],
    push: str | None,
    run_id: str | None,
) -> None:
    """Write the student's folder, say where it is, upload it. Raises UsageError, PublishError.

    Of `licences` one without a source is the base's.
    """
    from infra.publishing.student import write_student

    if push is not None:
        check_push(push)
    of_base = [text for text in licences if "=" not in text]
    if len(of_base) > 1:
        raise UsageError(f"--licence {of_base[1]!r}: the base has one licence, {of_base[0]!r}")
    of_sources = parse_licences([text for text in licences if "=" in text])
    with open_corpus(corpus, run_id=run_id) as database:
        written = write_student(
            database, Corpus(corpus).store, folder, model=model,
            licence=next(iter(of_base), None), licences=of_sources,
        )  # fmt: skip
    say(f"student {written.model_id} in {written.folder}; its card: {folder / 'README.md'}")
    unknown = [(source, f"{source}=...") for source in written.unlicensed]
    if written.base_licence == UNKNOWN:
        unknown.insert(0, (f"the base, {written.base},", "NAME"))
    for what, remedy in unknown:
        say(
            f"litecot: the licence of {what} is unknown, and the card says so; state it "
            f"with --licence {shlex.quote(remedy)}",
            file=sys.stderr,
        )
    if push is not None:
        say(f"uploaded to {push_folder(written.folder, push, kind='model')}")
