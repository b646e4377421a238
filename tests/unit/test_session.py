"""The run flows work on: opened once, joined by those inside, and told of however it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows import session
from flows.session import Order, open_session, runs_together
from infra.storage import Corpus, CorpusError
from sql.database import connect


@pytest.fixture
def order(tmp_path: Path) -> Order:
    return Order(recipe="nano", corpus=str(tmp_path / "corpus"), limit=2)


def invocations(order: Order) -> list[dict[str, Any]]:
    """What was told of each, the first first."""
    database = connect(Corpus(order.corpus).parts())
    return database.run("from raw_invocations order by started_at").records()


def test_those_inside_join_the_run_that_is_open(order: Order) -> None:
    with open_session(order) as outer:
        with open_session(order) as inner:
            assert inner is outer
        assert session.session(order) is outer  # the inner one's end closed nothing
    with pytest.raises(KeyError):
        session.session(order)
    assert len(invocations(order)) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [(RuntimeError("x"), "failed"), (KeyboardInterrupt(), "interrupted")],
)
def test_however_it_ends_it_is_told_and_closed(
    order: Order, error: BaseException, status: str
) -> None:
    with pytest.raises(type(error)), open_session(order):
        raise error
    with open_session(order):  # neither the order nor the corpus is taken
        pass
    assert [row["status"] for row in invocations(order)] == [status, "done"]


def test_an_invocation_tells_its_own_requests_and_times(order: Order) -> None:
    """A journal counts over the life of its corpus, an invocation from where it began."""
    for number in (1, 2):
        with open_session(order) as opened:
            for key in [f"{number}/{n}" for n in range(number)]:
                opened.run.writer.issued(key)
            opened.run.writer.issued(f"{number}/0")  # again
            opened.timings.start("generate")
            opened.timings.end("generate", 3)
            opened.timings.end("generate", 4)
    rows = invocations(order)
    assert [(row["num_requests"], row["num_repeated"]) for row in rows] == [(2, 1), (3, 1)]
    for row in rows:
        assert json.loads(row["stage_rows"]) == {"generate": 7}
        assert json.loads(row["stage_seconds"])["generate"] >= 0
        assert row["started_at"] < row["finished_at"]


def test_runs_together_are_open_at_once_and_share_what_writes(order: Order) -> None:
    other = order.model_copy(update={"seed": 8})
    with pytest.raises(CorpusError), open_session(order), open_session(other):
        pass  # one corpus, two writers
    with runs_together(order.corpus) as shared, open_session(order) as first:
        with open_session(other) as second:
            assert first.run.writer is second.run.writer is shared.writer
            assert first.run.grader is second.run.grader
            assert first.making is second.making
        first.run.writer.issued("after the other's end")
    with open_session(order):  # the corpus is free again
        pass
    assert [row["status"] for row in invocations(order)] == ["failed", "done", "done", "done"]


def test_what_runs_together_share_ends_with_them_however_they_end(order: Order) -> None:
    with pytest.raises(RuntimeError), runs_together(order.corpus), open_session(order):
        raise RuntimeError("x")
    with open_session(order) as opened:
        assert opened.run.writer.counts() == (0, 0)
