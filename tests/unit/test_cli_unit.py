"""The command line refuses in one line with the right exit code, and prints safely."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from flows.cli.display import print_lineage, print_result
from flows.cli.main import app
from flows.progress.terminal import StageCount, Terminal
from flows.progress.text import plain
from flows.session import Order, shown_on
from infra.engines.endpoint.parameters import LOGGER
from sql.database import Result
from sql.lineage import Chain, Lineage
from tests.unit import sample_corpus as sample
from tests.unit.test_recipes import save_model

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "corpus"
    sample.write_sample(folder)
    return folder


def litecot(*arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    done = RUNNER.invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def refusal(*arguments: object) -> str:
    """The one line of a refusal for wrong usage or input."""
    code, out, err = litecot(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("litecot: ")
    assert err.count("\n") == 1
    return err


# --- run


def test_unknown_recipe() -> None:
    assert "no recipe 'nanno'; shipped are " in refusal("run", "nanno")


def test_unknown_key() -> None:
    assert "generate.temprature: unknown key; known are" in refusal(
        "run", "nano", "--set", "generate.temprature=1"
    )


def test_unknown_prompt(tmp_path: Path) -> None:
    model = f"models.student.model={save_model(tmp_path / 'student')}"
    message = refusal(
        "run", "morsd", "--rationales", "p.jsonl", "--set", model, "--set", "score.prompt=poem"
    )
    assert "score.prompt: no prompt 'poem'" in message


def test_everything_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    code, out, err = litecot(
        "run", "nano", "--problems", "nowhere.jsonl", "--problems", "nor_here.jsonl",
        "--set", f"models.teacher.model={tmp_path}/no_teacher",
        "--set", f"models.student.model={tmp_path}/no_student",
    )  # fmt: skip
    assert (code, out) == (2, "")
    first, *named = err.splitlines()
    assert first == "litecot: 4 things are missing or wrong"
    for line, words in zip(
        named, ("nowhere.jsonl", "nor_here.jsonl", "no_teacher", "no_student"), strict=True
    ):
        assert words in line


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("x" * 300 + ".jsonl", "cannot read xxx"), (".", ". is a directory: name the file to read"),
    ],
)  # fmt: skip
def test_an_input_that_cannot_be_read_is_said_once(name: str, told: str) -> None:
    code, out, err = litecot("run", "nano", "--problems", name)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(f"litecot: {told}")


@pytest.mark.parametrize("value", ["nan", "-nan"])
def test_nan_is_no_setting(value: str) -> None:
    code, out, err = litecot("run", "nano", "--set", f"select.max_rd={value}")
    assert (code, out) == (2, "")
    assert err == (
        "litecot: recipe nano.toml: select.max_rd: nan is no value, nothing compares with it\n"
    )


def test_a_misspelt_question_is_answered_with_the_near_ones() -> None:
    code, out, err = litecot("ask", "kinds_kep")
    assert (code, out) == (2, "")
    assert "no question 'kinds_kep'. Did you mean 'kinds_kept'? `litecot ask` lists them all" in err


def test_a_plan_counts_a_corpus_that_is_just_being_made_as_empty(tmp_path: Path) -> None:
    (tmp_path / "_lock").touch()
    code, out, err = litecot("run", "nano", "--plan", "--corpus", str(tmp_path))
    assert (code, err) == (0, "")
    assert "estimate for " in out


def test_a_plan_refuses_the_folder_that_its_run_would_refuse(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    code, _, err = litecot("run", "nano", "--plan", "--corpus", str(tmp_path))
    assert code == 2
    assert "is not a corpus but holds notes.txt; pass an empty or a new folder" in err


def test_models_that_do_not_fit_are_named_each_after_the_plan() -> None:
    code, out, err = litecot("run", "macc", "--plan", "--on", "1x1x8")
    assert code == 2
    assert "estimate for 1000 problems" in out
    first, *named = err.splitlines()
    assert first == "litecot: 2 things are missing or wrong"
    assert [line.split()[0] for line in named] == ["teacher", "compressor"]


def test_no_problems() -> None:
    assert "--problems" in litecot("run", "litecot")[2]


def test_missing_problems_file(tmp_path: Path) -> None:
    model = f"models.student.model={save_model(tmp_path / 'student')}"
    missing = tmp_path / "none.jsonl"
    message = refusal("run", "morsd", "--rationales", missing, "--set", model)
    assert "none.jsonl" in message


def test_missing_model(tmp_path: Path) -> None:
    model = f"models.student.model={tmp_path / 'nowhere'}"
    traces = tmp_path / "x.jsonl"
    traces.write_text('{"question": "q", "answer": "4", "solution": "4"}\n')
    message = refusal("run", "morsd", "--rationales", str(traces), "--set", model, "--plan")
    assert "no such folder" in message


def test_missing_problems_are_said_before_the_plan() -> None:
    message = refusal("run", "liter-7b", "--problems", "nowhere.jsonl", "--plan", "--on", "1x8x80")
    assert message == "litecot: no such file: nowhere.jsonl\n"


def test_a_plan_names_stages_and_starts_nothing(tmp_path: Path) -> None:
    model = f"models.student.model={save_model(tmp_path / 'student')}"
    (tmp_path / "p.jsonl").write_text('{"question": "q", "answer": "4", "solution": "4"}\n')
    corpus = tmp_path / "corpus"
    code, out, _ = litecot(
        "run", "morsd", "--rationales", tmp_path / "p.jsonl", "--set", model, "--plan",
        "--corpus", corpus, "--set", "name=my[/b]recipe",
    )  # fmt: skip
    assert code == 0
    assert all(stage in out for stage in ("verify", "score", "select", "mix"))
    assert not corpus.exists()


def test_wrong_options_are_wrong_usage() -> None:
    assert litecot("run", "nano", "--limit", "0")[0] == 2
    assert litecot("run")[0] == 2
    assert litecot("fly")[0] == 2


# --- sql, show, status


@pytest.mark.parametrize(
    "query",
    [
        "create table t (a int)", "copy (select 1) to '{folder}/x.csv'", "select 1; select 2",
        "selekt", "select * from nowhere", "from read_text('/etc/passwd')", "from '/etc/passwd'",
    ],
)  # fmt: skip
def test_sql_only_reads_the_corpus(corpus: Path, query: str) -> None:
    message = refusal("sql", query.format(folder=corpus), "--corpus", corpus)
    assert "root:" not in message
    assert not (corpus / "x.csv").exists()


def test_sql_refuses_an_unknown_format(corpus: Path) -> None:
    assert "choose one of table, csv, json" in refusal(
        "sql", "select 1", "--corpus", corpus, "--format", "xml"
    )


@pytest.mark.parametrize("command", [("status",), ("show", "0"), ("sql", "from stg_problems")])
def test_no_corpus(tmp_path: Path, command: tuple[str, ...]) -> None:
    message = refusal(*command, "--corpus", tmp_path / "none")
    assert "no corpus here" in message


def test_unknown_run_and_id(corpus: Path) -> None:
    unknown = refusal("sql", "select 1", "--corpus", corpus, "--run", "zz")
    assert "is no run of this corpus" in unknown
    assert "zz" in refusal("show", "zz", "--corpus", corpus)


def test_sql_answers_programs(corpus: Path) -> None:
    code, out, _ = litecot("sql", "from funnel", "--corpus", corpus, "--format", "json")
    assert code == 0
    assert json.loads(out)[0]["stage"] == "problems"
    _, out, _ = litecot("sql", "select 1 as a, 'x,y' as b", "--corpus", corpus, "--format", "csv")
    assert list(csv.reader(io.StringIO(out))) == [["a", "b"], ["1", "x,y"]]


def test_show_tells_the_lineage(corpus: Path) -> None:
    code, out, _ = litecot("show", sample.P0, "--corpus", corpus)
    assert code == 0
    for words in ("What is 0 + 1?", "rewritten as easy", "compressed, round 1", "training example"):
        assert words in out


def test_show_tells_the_answers_to_a_problem(corpus: Path) -> None:
    code, out, _ = litecot("show", sample.P3, "--corpus", corpus)
    assert code == 0
    assert "base base-student, plain: wrong, says nothing, 80 tokens" in out
    assert "trained trained-student, with <compress>: correct" in out
    assert out.count("evaluated with") == 1  # all were asked alike


def test_show_tells_what_a_model_answered(corpus: Path) -> None:
    for name in ("trained-student", "trained", "trained-s"):
        code, out, _ = litecot("show", name, "--corpus", corpus)
        assert code == 0
        assert "sample, plain (as in run" in out
        assert "sample, with <compress> (as in run" in out
        assert out.count("100.0% of 1 questions") == 2
        assert sample.P3[:8] in out
        assert "What is 3 + 1?" in out
        assert "base-student" not in out
    untried = litecot("show", sample.MODEL.id[:9], "--corpus", corpus)[1]
    assert "nobody has evaluated it" in untried


def test_status_counts_rows(corpus: Path) -> None:
    code, out, _ = litecot("status", "--corpus", corpus)
    assert code == 0
    named = re.findall(r"raw_\w+", out)
    assert "raw_rationales" in named
    for relation in named:
        assert litecot("sql", f"from {relation}", "--corpus", corpus)[0] == 0


def test_recipes_are_listed() -> None:
    code, out, _ = litecot("recipes")
    assert code == 0
    assert all(name in out for name in ("nano", "litecot", "macc", "morsd"))


# --- printing


def printed(rows: list[tuple[Any, ...]], output: str, columns: tuple[str, ...] = ("a",)) -> str:
    stream = io.StringIO()
    result = Result(columns=columns, types=("VARCHAR",) * len(columns), rows=rows)
    print_result(result, output, stream)
    return stream.getvalue()


HOSTILE = "\x1b[31mred\x1b[0m \x9b2J \u202eevil [bold]x[/bold] [/] \x07"


def test_a_table_shows_model_text_as_it_is() -> None:
    out = printed([(HOSTILE,)], "table")
    assert "\x1b" not in out
    assert "\\x1b[31mred" in out
    assert "[bold]x[/bold] [/]" in out
    assert out.endswith("1 row\n")


@pytest.mark.parametrize("name", ["x[i]", "[/b]", "[red]", "\x1b[31m"])
def test_a_column_name_is_no_markup(name: str) -> None:
    assert plain(name) in printed([("v",)], "table", (name,))


def test_a_wide_cell_is_not_cut() -> None:
    assert "z" * 300 in printed([("z" * 300,)], "table")


@pytest.mark.parametrize("output", ["csv", "json"])
def test_programs_get_values_back(output: str) -> None:
    text = 'a "quoted", value\nof two lines é'
    out = printed([(text,), (None,)], output)
    if output == "json":
        assert json.loads(out) == [{"a": text}, {"a": None}]
    else:
        assert list(csv.reader(io.StringIO(out)))[1] == [text]


@given(st.text())
def test_plain_leaves_nothing_a_terminal_obeys(text: str) -> None:
    shown = plain(text)
    assert not any(ord(c) < 32 and c not in "\t\n" for c in shown)
    assert not any(0x7F <= ord(c) <= 0x9F or c in "\u202a\u202b\u202c\u202d\u202e" for c in shown)
    assert plain(shown) == shown


@given(st.text(alphabet=st.characters(categories=("L", "N", "P", "Zs"))))
def test_plain_leaves_text_alone(text: str) -> None:
    assert plain(text) == text


def test_what_is_said_of_a_run_is_no_control_code() -> None:
    stream = io.StringIO()
    Terminal(Console(file=stream)).say("rejected: \x1b[2J[bold]x[/] ")
    assert stream.getvalue() == "rejected: \\x1b[2J[bold]x[/] \n"


def test_what_an_endpoint_has_to_say_is_a_line_while_a_run_is_shown() -> None:
    stream = io.StringIO()
    with shown_on(Terminal(Console(file=stream, width=20))):
        logging.getLogger(LOGGER).warning("%s: seed is left out from now on", "http://a/v1")
    logging.getLogger(LOGGER).warning("nobody looks")
    assert stream.getvalue() == "  http://a/v1: seed is left out from now on\n"


# --- show


def chain(**changes: Any) -> Chain:
    made = Chain(
        rationale_id="9f0c5a7d12345678", kind="long", model="m", candidate=2, round=0, level=None,
        num_tokens=61, verdict="correct", extracted_answer="4", stated_as=None,
        chosen=None, stop_reason="stop", text="1 + 3 = 4", children=(), scores=(), selections=(),
        examples=(), rejections=(),
    )  # fmt: skip
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "long chain 2 [9f0c5a7d, 61 tokens, correct]"),
        ({"kind": "rewritten", "level": "easy"},
         "rewritten as easy [9f0c5a7d, 61 tokens, correct]"),
        ({"kind": "compressed", "round": 3, "chosen": True, "stop_reason": "rebound"},
         "compressed, round 3 [9f0c5a7d, 61 tokens, correct, kept round, rebound]"),
        ({"stated_as": "box"}, "long chain 2 [9f0c5a7d, 61 tokens, correct by box]"),
        ({"stated_as": "closing_line", "verdict": "wrong"},
         "long chain 2 [9f0c5a7d, 61 tokens, wrong by closing line]"),
        ({"kind": "backwards"}, "backwards [9f0c5a7d, 61 tokens, correct]"),
    ],
)  # fmt: skip
def test_a_chain_says_what_it_is_of_whatever_kind(
    changes: dict[str, Any], title: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Lineage(
        problem_id="41aa", matched=(), question="q", answer="4", source="s", splits=("train",),
        difficulties=(), chains=(chain(**changes),), rejections=(), evaluations=(),
    )  # fmt: skip
    print_lineage(found)
    assert f" {title}:" in capsys.readouterr().out


# --- small parts


def test_an_order_survives_the_trip_through_flow_parameters() -> None:
    order = Order(recipe="r", problems=("a", "b"), limit=3, overrides=("x=1",))
    assert Order.model_validate(json.loads(order.model_dump_json())) == order
    assert {order: "open"}[Order.model_validate(order.model_dump())] == "open"


def test_a_stages_share_counts_shards_not_begun_as_nothing() -> None:
    count = StageCount(num_shards=2)
    count.update(0, 5, 10)
    assert (count.totals, count.share) == ((5, 10), 0.25)
    count.update(1, 0, 0)
    assert count.share == 0.75


def test_questions_are_listed_and_answered(tmp_path: Path) -> None:
    sample.write_sample(tmp_path / "corpus")
    code, out, _ = litecot("ask")
    assert code == 0
    assert "kinds_kept" in out
    code, out, _ = litecot("ask", "kinds_kept", "--corpus", tmp_path / "corpus", "--format", "csv")
    assert code == 0
    assert out.splitlines()[1] == "original,rewritten,1,1,1.0,0.5,60.0,60.0"
    assert "no question 'nothing'" in refusal("ask", "nothing", "--corpus", str(tmp_path))


def test_a_snapshot_is_published(tmp_path: Path) -> None:
    sample.write_sample(tmp_path / "corpus")
    target = tmp_path / "snapshot"
    code, out, _ = litecot(
        "publish", target, "--corpus", tmp_path / "corpus", "--licence", "sample=MIT"
    )
    assert code == 0
    assert f"2 examples in {target}" in out
    assert "| sample | 2 | MIT |" in (target / "README.md").read_text()
    again = refusal("publish", str(target), "--corpus", str(tmp_path / "corpus"))
    assert "snapshots never change" in again
    inside = tmp_path / "corpus" / "mine"
    message = refusal("publish", str(inside), "--corpus", str(tmp_path / "corpus"))
    assert "would be inside the corpus" in message


def test_a_set_that_is_only_looked_at_needs_no_answers(tmp_path: Path) -> None:
    model = f"models.student.model={save_model(tmp_path / 'student')}"
    (tmp_path / "p.jsonl").write_text('{"question": "q", "answer": "4", "solution": "4"}\n')
    (tmp_path / "held.jsonl").write_text('{"question": "another"}\n')
    code, _, err = litecot(
        "run", "morsd", "--rationales", tmp_path / "p.jsonl", "--plan", "--set", model,
        "--set", f'hygiene.evaluation_sets=["{tmp_path}/held.jsonl"]',
    )  # fmt: skip
    assert (code, err) == (0, "")
