"""Group commit: what returned is on disk, and one bad record is nobody else's trouble."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.runs.commits import Commits
from infra.storage import CorpusError, CorpusWriter
from tasks.schemas import Rejection

STAMP = {"stage_fingerprint": "f", "run_id": "r"}


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[CorpusWriter]:
    with CorpusWriter(tmp_path / "corpus", fold_seconds=3600.0) as opened:
        yield opened


def seen_by_others(folder: Path, query: str) -> int:
    """What a second process finds in the journal."""
    (path,) = folder.rglob("journal.sqlite")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        return int(connection.execute(query).fetchone()[0])


def rejection(number: int) -> Rejection:
    return Rejection(record_id=str(number), stage="s", reason="r")


async def test_what_returned_is_on_disk(writer: CorpusWriter, tmp_path: Path) -> None:
    commits = Commits(writer)
    writer.completed("key", "reply")

    async def store(number: int) -> None:
        await commits.finish(str(number), [rejection(number)], requests_done=["key"], **STAMP)
        assert seen_by_others(tmp_path, "select count(*) from finished") == 5

    await asyncio.gather(*(store(number) for number in range(5)))
    assert seen_by_others(tmp_path, "select count(*) from payloads") == 0
    assert writer.lookup("key") is None


async def test_a_record_that_cannot_be_stored_stops_no_other(
    writer: CorpusWriter, tmp_path: Path
) -> None:
    commits = Commits(writer)
    outcomes = await asyncio.gather(
        commits.finish("1", [rejection(1)], **STAMP),
        commits.finish("2", [], **STAMP),
        commits.finish("3", [rejection(3)], **STAMP),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, type(None)]
    assert seen_by_others(tmp_path, "select count(*) from finished") == 2


async def test_a_disk_that_fails_is_told_to_all_who_wait(
    writer: CorpusWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits, finish = Commits(writer), writer.finish

    def is_full(input_id: str, *rest: Any, **stamp: Any) -> int:
        if input_id == "2":
            raise CorpusError("no space left")
        return finish(input_id, *rest, **stamp)

    monkeypatch.setattr(writer, "finish", is_full)
    outcomes = await asyncio.gather(
        *(commits.finish(str(number), [rejection(number)], **STAMP) for number in (1, 2, 3)),
        return_exceptions=True,
    )
    assert [str(outcome) for outcome in outcomes] == ["no space left"] * 3
    assert seen_by_others(tmp_path, "select count(*) from finished") == 0


async def test_who_gave_up_waiting_is_stored_all_the_same(
    writer: CorpusWriter, tmp_path: Path
) -> None:
    commits = Commits(writer)
    gone = asyncio.create_task(commits.finish("1", [rejection(1)], **STAMP))
    await asyncio.sleep(0)
    gone.cancel()
    await commits.finish("2", [rejection(2)], **STAMP)
    assert seen_by_others(tmp_path, "select count(*) from finished") == 2


async def test_requests_and_replies_are_on_disk_two_turns_later(
    writer: CorpusWriter, tmp_path: Path
) -> None:
    commits = Commits(writer)
    commits.issued("key")
    commits.completed("key", "reply")
    assert commits.lookup("key") == "reply"
    for _ in range(3):
        await asyncio.sleep(0)
    assert seen_by_others(tmp_path, "select issued from requests where key = 'key'") == 1
    assert seen_by_others(tmp_path, "select count(*) from payloads") == 1
    assert commits.lookup("key") == "reply"


async def test_a_reply_whose_record_ends_at_once_is_never_written(
    writer: CorpusWriter, tmp_path: Path
) -> None:
    commits = Commits(writer)
    commits.issued("key")
    commits.completed("key", "reply")
    await commits.finish("1", [rejection(1)], requests_done=["key"], **STAMP)
    assert seen_by_others(tmp_path, "select count(*) from finished") == 1
    assert seen_by_others(tmp_path, "select count(*) from payloads") == 0
    assert seen_by_others(tmp_path, "select count(*) from requests") == 1
    assert commits.lookup("key") is None


async def test_after_a_full_disk_nothing_more_is_asked(
    writer: CorpusWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = Commits(writer)

    def is_full(*_: Any, **__: Any) -> int:
        raise CorpusError("no space left")

    monkeypatch.setattr(writer, "finish", is_full)
    with pytest.raises(CorpusError):
        await commits.finish("1", [rejection(1)], **STAMP)
    with pytest.raises(CorpusError, match="no space left"):
        commits.issued("another")


async def test_a_reply_paid_for_outlives_the_batch_it_came_in(
    writer: CorpusWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row has no room, its reply has: the next run does not pay for it again."""
    commits = Commits(writer)

    def is_full(*_: Any, **__: Any) -> int:
        raise CorpusError("no space left")

    monkeypatch.setattr(writer, "finish", is_full)
    commits.issued("key")
    commits.completed("key", "reply")
    with pytest.raises(CorpusError):
        await commits.finish("1", [rejection(1)], requests_done=["key"], **STAMP)
    assert seen_by_others(tmp_path, "select count(*) from payloads") == 1
    assert seen_by_others(tmp_path, "select issued from requests where key = 'key'") == 1
