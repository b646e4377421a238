"""The shell through a real terminal: Tab, Enter, Up, Ctrl-C, Ctrl-D, and what is on the screen."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.unit import sample_corpus as sample

LINES, COLUMNS = 30, 100
UP, TAB, CTRL_C, CTRL_D = "\x1b[A", "\t", "\x03", "\x04"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[pexpect.spawn]:
    sample.write_sample(tmp_path / "maths")
    env = {
        **os.environ,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "TERM": "xterm",
        "PAGER": "cat",
        "PROMPT_TOOLKIT_NO_CPR": "1",
    }
    started = pexpect.spawn(
        sys.executable, ["-m", "flows.cli.entry", "sql", "--corpus", str(tmp_path / "maths")],
        dimensions=(LINES, COLUMNS), env=env, encoding="utf-8", timeout=60,
    )  # fmt: skip
    yield started
    started.close(force=True)


def test_a_person_asks(terminal: pexpect.spawn, tmp_path: Path) -> None:
    """What is echoed is drawn in pieces, so it is what comes of it that is looked for."""
    terminal.expect("read-only; end a statement with ;")
    terminal.expect("maths>")
    terminal.send("select count(*) as n from\rstg_rational" + TAB)
    terminal.expect("rational.*es")  # completed
    terminal.send(";\r")
    terminal.expect("│ 7 │")
    terminal.send("from nowhere;\r")
    terminal.expect("litecot: .*Table with name nowhere does not exist")
    terminal.send("select count(*) from range(100000000000) a, range(1000) b;\r")
    with pytest.raises(pexpect.TIMEOUT):  # it is at work
        terminal.expect("count_star", timeout=2)
    terminal.send(CTRL_C)
    terminal.expect("litecot: cancelled")
    terminal.expect("maths>")
    terminal.send("half a statement" + CTRL_C)
    terminal.expect("maths>")
    terminal.send(UP + UP + "\r")
    terminal.expect("litecot: .*Table with name nowhere does not exist")
    terminal.send("from range(200);\r")  # through the pager, here cat
    terminal.expect("200 rows")
    terminal.send(".schema funnel\r")
    terminal.expect("share_of_problems")
    terminal.send(CTRL_D)
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus == 0
    history = tmp_path / "state" / "litecot" / "sql_history"
    assert history.stat().st_mode & 0o777 == 0o600
    assert "stg_rationales" in history.read_text()


def test_ctrl_c_ends_a_query_into_a_file_and_leaves_none(tmp_path: Path) -> None:
    sample.write_sample(tmp_path / "maths")
    words = ["sql", "select count(*) from range(100000000000) a, range(1000) b"]
    words += ["--to", str(tmp_path / "a.csv"), "--corpus", str(tmp_path / "maths")]
    started = pexpect.spawn(
        sys.executable, ["-m", "flows.cli.entry", *words], encoding="utf-8", timeout=60
    )
    while len(list(tmp_path.iterdir())) == 1:  # its file is begun
        time.sleep(0.1)
    started.send(CTRL_C)
    started.expect("litecot: interrupted")
    started.expect(pexpect.EOF)
    started.wait()
    assert started.exitstatus == 130
    assert [path.name for path in tmp_path.iterdir()] == ["maths"]
