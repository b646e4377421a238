"""The shell of `litecot sql`, but for its terminal (tests/integration/test_sql_shell.py)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.cli.sql.completion import is_whole, offered
from flows.cli.sql.shell import Shell
from infra.storage import CorpusWriter
from tests.unit import sample_corpus as sample
from tests.unit.test_storage import finish

COLUMNS = {
    "funnel": [("stage", "VARCHAR"), ("num_problems", "BIGINT")],
    "stg_runs": [("run_id", "VARCHAR"), ("recipe", "VARCHAR")],
    "raw_runs": [("run_id", "VARCHAR")],
}
COMMANDS = [".help", ".schema", ".mode"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    sample.write_sample(tmp_path / "corpus")
    return tmp_path / "corpus"


@pytest.fixture
def shell(corpus: Path) -> Iterator[Shell]:
    opened = Shell(str(corpus), memory_gib=1.0)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("select * from fu", "", ["funnel"]),
        ("select * from ", "", ["funnel", "raw_runs", "stg_runs"]),
        ("from funnel JOIN runs", "", ["raw_runs", "stg_runs"]),
        ("select sta", " from funnel", ["stage"]),
        ("select ", " from funnel", ["stage", "num_problems"]),
        ("select f.", " from funnel as f", ["stage", "num_problems"]),
        ("select r.rec", " from funnel as f join stg_runs r using (x)", ["recipe"]),
        ("from funnel wher", "", ["where"]),
        (".sch", "", [".schema"]),
        (".schema stg", "", ["stg_runs"]),
        (".mode ", "", ["table", "csv", "json"]),
        (".help x", "", []),
    ],
)
def test_what_tab_offers(before: str, after: str, expected: list[str]) -> None:
    assert [name for name, _ in offered(before, before + after, COLUMNS, COMMANDS)] == expected


@pytest.mark.parametrize(
    ("text", "whole"),
    [("select 1;", True), ("select 1 ; -- done", True), ("select 1", False), (".help", True),
     ("", True), ("select ';'\n", False), ("select 1;\n", True)],
)  # fmt: skip
def test_when_a_statement_ends(text: str, whole: bool) -> None:
    assert is_whole(text) == whole


def test_a_statement_and_a_fault_are_answered(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.ask("select count(*) as n from stg_rationales;")
    assert "7" in capsys.readouterr().out
    for text, told in [
        ("from nowhere;", "Table with name nowhere does not exist"),
        ("frm x;", "syntax error"), ("drop table x;", "DROP is not allowed"),
        (".nope", "no command .nope: .help lists them"), (".mode xml", "choose one of table"),
        (".schema stg_rationale", "Did you mean 'stg_rationales'"), (".run zz", "is no run"),
    ]:  # fmt: skip
        shell.ask(text)
        out, err = capsys.readouterr()
        assert (out, err.count("\n"), told in err) == ("", 1, True), (text, err)


def test_dot_commands(shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, told in [
        (".help", ".output FILE"), (".tables", "stg_rationales"),
        (".schema funnel", "one row per step of the pipeline"), (".run", sample.RUN_ID),
    ]:  # fmt: skip
        shell.ask(text)
        assert told in capsys.readouterr().out
    file = tmp_path / "scores.parquet"
    shell.ask(f".output {file}")
    shell.ask("from stg_scores;")
    assert pq.read_table(file).num_rows == 2
    assert capsys.readouterr().out == ""
    shell.ask(f".output {file}")
    assert "is there already" in capsys.readouterr().err
    shell.ask(".mode csv")
    shell.ask("select 1 as a;")
    assert capsys.readouterr().out == "a\n1\n"
    with pytest.raises(EOFError):
        shell.ask(".quit")


def test_a_result_that_is_too_long_for_a_screen_is_cut_and_says_so(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.ask("from range(10000);")
    assert "only the first" not in capsys.readouterr().out
    shell.ask("from range(10001);")
    assert "only the first 10000 rows: .output FILE takes all" in capsys.readouterr().out


def test_what_a_run_finishes_and_compacts_is_there_at_the_next_statement(
    shell: Shell, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = "select count(*) as n from raw_problems;"
    shell.ask(count)
    assert "│ 4 │" in capsys.readouterr().out
    with CorpusWriter(corpus, grace_s=0) as writer:
        finish(writer, 1)
        writer.flush()
        writer.compact()
    shell.ask(count)
    assert "│ 5 │" in capsys.readouterr().out


def test_a_query_is_ended_from_another_thread(shell: Shell) -> None:
    """As Ctrl-C does, which only the main thread of a terminal's process gets."""
    database, began = shell.database(), time.monotonic()
    ended = threading.Event()

    def end() -> None:
        while not ended.wait(0.2):
            database.interrupt()

    ending = threading.Thread(target=end)
    ending.start()
    shell.ask("select count(*) from range(100000000000) a, range(1000) b;")
    ended.set()
    ending.join()
    assert time.monotonic() - began < 60
