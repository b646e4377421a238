"""Whatever a model or a file wrote: no way out of the program lets a terminal obey it."""

from __future__ import annotations

import csv
import io
import json
import logging
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from typer.testing import CliRunner

from flows.cli import main as command_line
from flows.cli.display import print_lineage, print_result
from flows.progress.consoles import console
from flows.progress.logs import escape_log_records
from flows.progress.terminal import Terminal
from flows.progress.text import json_safe, plain
from flows.report import Report, print_report
from sql.database import Result
from sql.lineage import Chain, EvaluationLine, Lineage, RejectionLine, ScoreLine
from tests.unit import sample_corpus as sample

HOSTILE = (
    "\x1b[2J\x1b]0;title\x07\x9b31m\x9d0;x\x9c\rover\x08\x7f \u202eabc\u202c \u2066x\u2069 \u061c"
    "\u200b\u200e\u200f\u2028\ufeff\U000e0041 [bold]x[/bold] :smile: "
)
VISIBLE = ["\\x1b[2J", "\\x07", "\\x9b31m", "\\x0dover", "\\u202eabc", "\\u200b", "\\U000e0041"]
ALLOWED = "\t\n"
# What queries join, filter and sort by: others would leave nothing to show.
KEPT = {
    "kind", "verdict", "level", "role", "condition", "split", "answer_type", "finish_reason",
    "filter", "status", "started_at", "finished_at", "stage", "benchmark", "path",
}  # fmt: skip


def assert_obeyed_by_no_terminal(text: str) -> None:
    found = {
        f"U+{ord(c):04X}" for c in text
        if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in ALLOWED
    }  # fmt: skip
    assert found == set()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample corpus with HOSTILE in every column that no id and no query depends on."""
    folder = tmp_path_factory.mktemp("hostile") / "corpus"
    sample.write_rows(folder, [replace(made, row=hostile(made.row)) for made in sample.EVERYTHING])
    return folder


def hostile(row: Any) -> Any:
    for field in fields(row):
        value = getattr(row, field.name)
        if isinstance(value, str) and field.name not in KEPT and value[:1] not in ("{", "["):
            changed = replace(row, **{field.name: HOSTILE})
            row = changed if changed.content_id("f") == row.content_id("f") else row
    return row


def litecot(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    done = CliRunner().invoke(command_line.app, arguments, input=stdin)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


COMMANDS = [
    *[("sql", f"select *, '{HOSTILE}' from raw_rationales", "--format", f)
      for f in ("table", "csv", "json")],
    *[("sql", f"select text as \"{HOSTILE.replace(chr(13), '')}\", [text] as l, "
              "map([text], [{'k': text}]) as m from raw_rationales", "--format", f)
      for f in ("table", "csv", "json")],
    ("sql", "from raw_rejections"),
    ("show", sample.P0), ("show", sample.P1), ("status",),
    *[("ask", name, "--format", f) for name in ("usage_by_stage", "waits_by_model")
      for f in ("table", "csv", "json")],
]  # fmt: skip


@pytest.mark.parametrize(
    "command", COMMANDS, ids=lambda c: " ".join(c)[:20].encode("ascii", "ignore").decode()
)
def test_what_a_corpus_holds_is_shown_as_escapes(command: tuple[str, ...], corpus: Path) -> None:
    code, out, err = litecot(*command, "--corpus", str(corpus))
    assert code == 0, err
    assert_obeyed_by_no_terminal(out + err)
    if command[0] == "sql" and "json" not in command:
        assert all(seen in out.replace("\n", "") for seen in VISIBLE[:1])
    if "json" in command:
        json.loads(out)


REFUSED = [
    ("sql", "select text::int from raw_rationales"),
    ("sql", "select error(text) from raw_rationales"),
    ("sql", f'select "{HOSTILE}"'), ("sql", f"from '{HOSTILE}'"), ("sql", HOSTILE),
    ("sql", "select 1", "--run", HOSTILE), ("sql", "select 1", "--format", HOSTILE),
    ("show", HOSTILE), ("ask", HOSTILE), ("publish", "x", "--push", HOSTILE),
    ("run", HOSTILE), ("run", "nano", "--problems", f"{HOSTILE}.jsonl"), ("plugins", HOSTILE),
    ("run", "nano", "--set", f"generate.prompt={HOSTILE}"), ("recipes", "show", HOSTILE),
    ("prompts", "show", HOSTILE), ("status",),
]  # fmt: skip


@pytest.mark.parametrize(
    "command", REFUSED, ids=lambda c: f"{c[0]} {c[1][:24]!a}" if c[1:] else c[0]
)
def test_errors_quote_rows_and_names_as_escapes(command: tuple[str, ...], corpus: Path) -> None:
    where = HOSTILE.strip() if command == ("status",) else str(corpus)
    of_corpus = () if command[0] in ("plugins", "recipes", "prompts") else ("--corpus", where)
    code, out, err = litecot(*command, *of_corpus)
    assert code == 2
    assert_obeyed_by_no_terminal(out + err)
    assert "\\x1b" in err


def test_an_estimate_shows_a_recipes_words_as_escapes() -> None:
    _, out, err = litecot("run", "nano", "--plan", "--set", f"name={json.dumps(HOSTILE)}")
    assert_obeyed_by_no_terminal(out + err)


# --- the parts


@given(st.text())
def test_plain_and_json_leave_nothing_a_terminal_obeys(text: str) -> None:
    assert not any(unicodedata.category(c) == "Cc" and c not in ALLOWED for c in plain(text))
    dumped = json_safe(json.dumps([text], ensure_ascii=False))
    assert not any(unicodedata.category(c) == "Cc" for c in dumped)
    assert json.loads(dumped) == [text]


def test_every_character_without_a_shape_is_escaped() -> None:
    """But for Arabic's and others' signs that enclose a number, which are seen."""
    seen = {0x6DD, 0x70F, 0x8E2, 0x110BD, 0x110CD, *range(0x600, 0x606), *range(0x890, 0x892),
            *range(0x13430, 0x13440)}  # fmt: skip
    every = map(chr, range(sys.maxunicode + 1))
    hidden = [c for c in every if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert [hex(ord(c)) for c in hidden if plain(c) == c and c not in ALLOWED] == [
        hex(code) for code in sorted(seen) if unicodedata.category(chr(code)) == "Cf"
    ]


@pytest.mark.parametrize("output", ["table", "csv", "json"])
def test_results_of_all_formats(output: str) -> None:
    stream = io.StringIO()
    rows = [(HOSTILE, [HOSTILE], {HOSTILE: {"k": HOSTILE}}, HOSTILE.encode(), None)]
    print_result(
        Result(columns=(HOSTILE, "l", "m", "b", "n"), types=("X",) * 5, rows=rows), output, stream
    )
    assert_obeyed_by_no_terminal(stream.getvalue())
    if output == "json":
        (record,) = json.loads(stream.getvalue())
        assert record[HOSTILE] == HOSTILE
        assert record["m"] == {HOSTILE: {"k": HOSTILE}}
    if output == "csv":
        _, row = csv.reader(io.StringIO(stream.getvalue()))
        assert json.loads(row[1]) == [HOSTILE]
        assert row[0] == plain(HOSTILE)


def test_a_lineage_of_hostile_names(capsys: pytest.CaptureFixture[str]) -> None:
    rejection = RejectionLine(
        rejection_id="r", record_id="r", stage=HOSTILE, reason=HOSTILE, detail=HOSTILE
    )
    chain = Chain(
        rationale_id=HOSTILE, kind=HOSTILE, model=HOSTILE, candidate=0, round=0, level=HOSTILE,
        num_tokens=1, verdict=HOSTILE, extracted_answer=HOSTILE, stated_as=HOSTILE,
        chosen=True, stop_reason=HOSTILE,
        text=HOSTILE, children=(), selections=(), examples=(), rejections=(rejection,),
        scores=(ScoreLine(score_id="s", student=HOSTILE, num_tokens=1, rd=0.5),),
    )  # fmt: skip
    answer = EvaluationLine(evaluation_id="e", model_id=HOSTILE, role=HOSTILE, compress=True,
                            verdict=HOSTILE, num_tokens=1, extracted_answer=HOSTILE,
                            stated_as=HOSTILE, sample=1, is_cut_off=True, settings=HOSTILE,
                            text=HOSTILE)  # fmt: skip
    print_lineage(
        Lineage(
            problem_id=HOSTILE,
            matched=(),
            question=HOSTILE,
            answer=HOSTILE,
            source=HOSTILE,
            splits=(HOSTILE,),
            difficulties=(),
            chains=(chain,),
            rejections=(rejection,),
            evaluations=(answer,),
        )
    )  # fmt: skip
    out = capsys.readouterr().out
    assert_obeyed_by_no_terminal(out)
    assert out.count("\\x1b[2J") >= 14
    assert "[bold]x[/bold] :smile:" in out


def test_a_report_of_hostile_names() -> None:
    count = {"num_problems": 1, "num_rows": 1}
    report = Report(
        recipe=HOSTILE, corpus=HOSTILE, kinds=("long",), plugins=(HOSTILE,), prompts=(HOSTILE,),
        funnel=[{"stage": s, **count} for s in ("problems", "answered_correctly", "examples")],
        tokens=[], selection=[], usage=[], disagreements=0, stage_seconds={HOSTILE: 1.0},
        stage_rows={}, num_requests=1, num_repeated=0, total_seconds=1.0, example_id=HOSTILE,
        rounds=[{"num_chosen": 1, "round": 1, "num_chains": 2, "stop_reasons": {HOSTILE: 2}}],
        rejections=[
            {"num_records": 1, "reason": HOSTILE, "stage": HOSTILE, "sample_detail": HOSTILE}
        ],
        evaluation=[{"role": HOSTILE, "benchmark": HOSTILE, "compress": True, "num_problems": 1,
                     "accuracy": 1.0, "mean_tokens": 1.0, "share_cut_off": 0.5,
                     "mean_seconds": 1.0, "settings": settings} for settings in (HOSTILE, None)],
    )  # fmt: skip
    stream = io.StringIO()
    print_report(report, console(file=stream, width=1000))
    assert_obeyed_by_no_terminal(stream.getvalue())
    assert stream.getvalue().count("\\x1b[2J") >= 10


def test_a_console_of_ours_escapes_what_a_table_forgot() -> None:
    stream = io.StringIO()
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE)
    console(file=stream, width=400).print(table, HOSTILE)
    assert_obeyed_by_no_terminal(stream.getvalue())
    assert stream.getvalue().count("[bold]x[/bold] :smile:") == 4


def test_bars_on_a_terminal_draw_and_show_a_stages_name_as_escapes() -> None:
    stream = io.StringIO()
    terminal = Terminal(console(file=stream, force_terminal=True, width=200))
    with terminal.live():
        terminal.advance(HOSTILE, 1, 2)
        terminal.say(HOSTILE)
    drawn = stream.getvalue()
    assert "\x1b[" in drawn  # rich's own
    for part in ("\x1b[2J", "\x1b]0;", "\x9b", "\u202e", "\x07"):
        assert part not in drawn
    assert drawn.count("\\x1b[2J") >= 2


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    before = logging.getLogRecordFactory()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("litecot.test")
    logger.addHandler(handler)
    escape_log_records()
    escape_log_records()
    yield stream
    logger.removeHandler(handler)
    logging.setLogRecordFactory(before)


def test_log_lines_and_the_errors_they_bring_are_escaped(logged: io.StringIO) -> None:
    """Prefect's log lines, and warnings of ours without any handler, are such records."""
    log = logging.getLogger("litecot.test")
    log.warning("bad row: %s of %d", HOSTILE, 3)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("failed")
    log.warning("%s and nothing else")  # too few arguments is logging's to tell
    log.warning("%d rows", 3)
    text = logged.getvalue()
    assert_obeyed_by_no_terminal(text)
    assert "bad row: \\x1b[2J" in text
    assert "ValueError: \\x1b[2J" in text
    assert "3 rows" in text


def test_a_bugs_traceback_is_escaped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def app() -> None:
        raise KeyError(HOSTILE) from ValueError(HOSTILE)

    monkeypatch.setattr(command_line, "app", app)
    before = logging.getLogRecordFactory()
    with pytest.raises(SystemExit) as left:
        command_line.main()
    logging.setLogRecordFactory(before)
    err = capsys.readouterr().err
    assert left.value.code == 1
    assert_obeyed_by_no_terminal(err)
    assert "Traceback" in err
    assert "ValueError: \\x1b[2J" in err
