"""`litecot replicate` on two arms and a few problems: real trainings, and a second time nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tasks.schemas import TABLES
from tests.integration.command_line import litecot, query

pytestmark = [
    pytest.mark.usefixtures("prefect_server", "warm_engines"),
    pytest.mark.timeout(600),  # two trainings at once
]
NUM_PROBLEMS, NUM_EVALUATED = 12, 4
SETTINGS = (
    "--seeds", "1", "--limit", str(NUM_PROBLEMS), "--set", "train.max_steps=2",
    "--set", f"evaluate.limit={NUM_EVALUATED}", "--set", "evaluate.max_tokens=24",
    "--set", "select.max_rd=0",  # nothing is left where RD decides, so that an arm fails
)  # fmt: skip


def replicate(corpus: Path, arms: str, *more: str) -> CompletedProcess[str]:
    return litecot("replicate", "--arms", arms, *SETTINGS, "--corpus", str(corpus), *more)


def counts(corpus: Path) -> Mapping[str, int]:
    return {
        table: query(corpus, f"select count(*) as n from raw_{table}")[0]["n"] for table in TABLES
    }


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, warm_engines: object
) -> tuple[Path, CompletedProcess[str]]:
    """Two arms that end well and one that cannot, and what was said of them."""
    corpus = tmp_path_factory.mktemp("replicate") / "corpus"
    return corpus, replicate(corpus, "by-ifd,by-grape,rd-lowest")


@pytest.fixture
def corpus(made: tuple[Path, CompletedProcess[str]]) -> Path:
    return made[0]


def test_an_arm_that_fails_is_told_at_the_end_and_stops_no_other(
    made: tuple[Path, CompletedProcess[str]],
) -> None:
    _, done = made
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 students trained and evaluated now, 0 before" in done.stdout
    assert "of 4  by-" in done.stdout
    for budget in ("steps", "tokens"):
        assert f"rd-lowest {budget} 1: no example was selected" in done.stderr
    assert "leaked" not in done.stderr
    assert "Traceback" not in done.stderr


def test_two_students_are_trained_on_what_was_made_once(corpus: Path) -> None:
    found = counts(corpus)
    assert (found["rationales"], found["scores"]) == (4 * NUM_PROBLEMS, 4 * NUM_PROBLEMS)
    assert (found["models"], found["evaluations"]) == (2, 2 * 2 * NUM_EVALUATED)
    steps = query(corpus, "select num_steps, world_size from raw_models")
    assert [(row["num_steps"], row["world_size"]) for row in steps] == [(2, 1), (2, 1)]


def test_the_second_time_nothing_is_made_and_the_page_is_of_a_pilot(
    corpus: Path, tmp_path: Path
) -> None:
    before, page = counts(corpus), tmp_path / "page.md"
    done = replicate(corpus, "by-ifd,by-grape")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 students trained and evaluated now, 2 before; 0 requests" in done.stdout
    assert counts(corpus) == before
    plan = replicate(corpus, "by-ifd,by-grape", "--plan")
    assert "2 are done" in plan.stdout
    done = replicate(corpus, "by-ifd,by-grape", "--report", "--page", str(page))
    assert done.returncode == 0, done.stdout + done.stderr
    text = page.read_text()
    assert "**This is a pilot, not the replication**: 2 of its 2 students are done" in text
    assert "| `by-ifd`: all three filters, the best 30% by IFD | steps | plainly |" in text
    (plot,) = (tmp_path / "page").glob("morsd_arms.svg")
    assert plot.read_text().startswith("<svg")
    assert "page/morsd_arms.svg" in text
    assert "## Forecast" in text
    assert "a forecast needs 8 evaluated students" in text
