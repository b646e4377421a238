"""What `litecot status` and the bars say of a run: how far, how fast, killed or running."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.progress.pace import LINE_EVERY_S, Pace
from flows.recipes.assumptions import Price
from flows.session import Order, open_session
from infra.runs.account import Account
from infra.storage import CorpusWriter
from tasks.ports import Completion
from tests.unit.test_cli_unit import litecot

KILLED = """
import os, sys
from flows.session import Order, open_session
order = Order(recipe="nano", corpus=sys.argv[1], limit=2)
with open_session(order) as opened:
    opened.pace("generate").look(3, 8)
    opened.told_s = -9
    opened.tell("generate")
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def order(tmp_path: Path) -> Order:
    return Order(recipe="nano", corpus=str(tmp_path / "corpus"), limit=2)


def status(order: Order) -> dict[str, Any]:
    code, out, err = litecot("status", "--corpus", order.corpus, "--json")
    assert (code, err) == (0, "")
    told: dict[str, Any] = json.loads(out)
    return told


def states(order: Order) -> list[tuple[str, str]]:
    return [(run["recipe"], run["state"]) for run in status(order)["runs_told"]]


def test_running_is_told_from_killed_and_from_ended(order: Order) -> None:
    subprocess.run([sys.executable, "-c", KILLED, order.corpus], check=False, timeout=120)
    assert states(order) == [("nano", "killed")]
    out = litecot("status", "--corpus", order.corpus)[1]
    assert "at rest: nobody writes it" in out
    assert "was killed (process " in out
    assert "generate          3 of 8" in out
    with CorpusWriter(order.corpus):  # another command that writes says nothing of the run
        assert states(order) == [("nano", "killed")]
        assert "no run: a command that writes" in litecot("status", "--corpus", order.corpus)[1]
    with open_session(order) as opened:
        opened.pace("generate").look(5, 8)
        opened.told_s = -9
        opened.tell("generate")
        told = status(order)
        assert told["state"] == "being written"
        assert [(run["state"], run["stages"]["generate"]["done"]) for run in told["runs_told"]] == [
            ("running", 5)
        ]
    assert (status(order)["state"], states(order)) == ("at rest", [])


def completion(tokens: int) -> Completion:
    return Completion(text="x", finish_reason="stop", prompt_tokens=100, completion_tokens=tokens,
                      latency_s=1.0)  # fmt: skip


def test_a_pace_is_of_the_last_minute_and_says_what_it_costs() -> None:
    now = 0.0
    account = Account()
    pace = Pace(account, {"teacher": Price(input=1.0, output=2.0)}, clock=lambda: now)
    pace.look(0, 1000)
    assert pace.words == ""  # nothing is known yet
    for second in range(1, 101):
        now = float(second)
        account.pay("teacher", [completion(50)] * 2)
        pace.look(second if second < 50 else 50 + 4 * (second - 50), 1000)
    assert pace.words == "3.5/s, 4 min left, 100 tokens/s, 0.03 USD so far"
    account.num_rejected = 2
    assert pace.words.endswith(", 2 rejected")
    assert pace.cost() == {"USD": pytest.approx((100 * 100 * 1 + 100 * 100 * 2) / 1e6)}


def test_the_first_record_says_nothing_of_the_rest() -> None:
    now = 0.0
    pace = Pace(Account(), {}, clock=lambda: now)
    for at, done, words in ((0.0, 0, ""), (20.0, 1, ""), (40.0, 4, "6.0/min, 2 h 46 min left")):
        now = at
        pace.look(done, 1000)
        assert pace.words == words


def test_lines_where_no_bars_are_come_now_and_then() -> None:
    now = 0.0
    pace = Pace(Account(), {}, clock=lambda: now)
    pace.look(0, 10)
    assert pace.line() is None
    now = LINE_EVERY_S
    pace.look(6, 10)
    assert pace.line() == "6 of 10 records, 12/min, 20 s left"
    assert pace.line() is None
    now = 2 * LINE_EVERY_S
    pace.look(10, 10)
    assert pace.line() is None  # the stage's own line comes next
    assert pace.summary == "10 of 10 records, 10/min"
