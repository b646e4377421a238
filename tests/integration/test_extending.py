"""The examples of docs/extending.md in one run, from a folder of a user's own.

Three runs of the recipe as a user would type them: the first, the same again, and one after the
scorer was edited. In the folder lie a user's own tasks.py, sql/ and flows/ that none of the run's
processes (driver, graders, engines) may import.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.prompts import load_prompt
from tests.extending import PLUGINS, dial_problems, write_examples
from tests.integration.command_line import query

pytestmark = [
    pytest.mark.usefixtures("prefect_server", "warm_engines"),
    pytest.mark.timeout(600),  # of the first test, which makes the three runs
]

NUM_PROBLEMS = 6
TRAP = "raise RuntimeError('a file of the user was imported')\n"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """`pages`: what the three runs printed, without line breaks of tables."""

    folder: Path
    pages: tuple[str, str, str]

    def litecot(self, *arguments: str) -> str:
        return litecot(self.folder, *arguments)

    def rows(self, text: str) -> list[dict[str, Any]]:
        return query(self.folder / "corpus", text)


def litecot(folder: Path, *arguments: str) -> str:
    """What it prints, a run of spaces and frames as one space."""
    command = [str(Path(sys.executable).with_name("litecot")), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return re.sub(r"[\s│┃]+", " ", done.stdout)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, warm_engines: dict[str, str]) -> Ran:
    folder = tmp_path_factory.mktemp("mine")
    write_examples(folder)
    (folder / "dials.jsonl").write_text(dial_problems(NUM_PROBLEMS))
    (folder / "tasks.py").write_text(TRAP)
    for trap in ("sql/x.py", "sql/__init__.py", "flows/__init__.py"):
        (folder / trap).parent.mkdir(exist_ok=True)
        (folder / trap).write_text(TRAP)
    first, again = (litecot(folder, "run", "own.toml", "--corpus", "corpus") for _ in range(2))
    scorer = folder / "expected.py"
    scorer.write_text(scorer.read_text() + "\n")
    edited = litecot(folder, "run", "own.toml", "--corpus", "corpus")
    return Ran(folder=folder, pages=(first, again, edited))


def made(page: str) -> dict[str, int]:
    """Stage -> new rows, of the table "this time"."""
    table = page.partition("this time")[2]
    return {name: int(number) for name, number in re.findall(r"([a-z]+) (\d+) \d+\.\d ", table)}


def requests(page: str) -> int:
    (number,) = re.findall(r"model requests, scoring aside (\d+)", page)
    return int(number)


def test_every_plug_in_is_told_in_the_report_and_in_the_list(ran: Ran) -> None:
    listed = ran.litecot("plugins", "own.toml")
    for file, what in PLUGINS.items():
        assert f"{what} (./{file})" in ran.pages[0]
        assert f"{what} ./{file}" in listed


def test_the_engine_wrote_the_chains(ran: Ran) -> None:
    rows = ran.rows("select engine, model, kind, text from raw_rationales")
    assert {(row["engine"], row["model"]) for row in rows} == {("solver", "rules")}
    openers = {(row["kind"], row["text"].split("\n")[0]) for row in rows}
    assert openers == {
        ("long", "Let me count."), ("retold", "Let me count."), ("compressed", "So:")
    }  # fmt: skip


def test_the_answer_type_graded_them(ran: Ran) -> None:
    """13 is no 3 to any other type."""
    rows = ran.rows(
        "select answer, answer_type, extracted_answer, verdict from raw_rationales "
        "join raw_problems using (problem_id)"
    )
    assert len(rows) == 3 * NUM_PROBLEMS
    assert {(row["answer_type"], row["verdict"]) for row in rows} == {("dial", "correct")}
    assert all(row["answer"] == f"1{row['extracted_answer']}" for row in rows)


def test_the_stage_retold_each_chain(ran: Ran) -> None:
    rows = ran.rows(
        "select r.parent_id, p.kind as parent, r.prompt_sha, r.num_requests from raw_rationales r "
        "join raw_rationales p on p.rationale_id = r.parent_id where r.kind = 'retold'"
    )
    assert len({row["parent_id"] for row in rows}) == NUM_PROBLEMS
    own = load_prompt("retell", str(ran.folder / "retell.jinja"))
    assert {(r["parent"], r["prompt_sha"], r["num_requests"]) for r in rows} == {
        ("long", own.sha, 1)
    }
    assert made(ran.pages[0])["retell"] == NUM_PROBLEMS
    assert re.search(r"\d+ long -> \d+ retold -> \d+ compressed", ran.pages[0])


def test_the_method_ended_the_loops(ran: Ran) -> None:
    rows = ran.rows("select stop_reason, chosen, round from raw_rationales where stop_reason <> ''")
    assert [(row["stop_reason"], row["chosen"], row["round"]) for row in rows] == [
        ("short_enough", True, 1)
    ] * NUM_PROBLEMS
    assert f"{NUM_PROBLEMS} of {NUM_PROBLEMS} chains short_enough" in ran.pages[0]


def test_the_scorer_has_a_value_for_each_chain(ran: Ran) -> None:
    counted = "select count(*) as n, min(value) as low, max(value) as high from stg_score_values"
    (row,) = ran.rows(f"{counted} where scorer = 'expected'")
    assert row["n"] == 2 * NUM_PROBLEMS  # of the latest run, whose scorer is the edited one
    assert 0 < row["low"] <= row["high"] <= 1
    stored = ran.rows("select others from raw_scores")
    assert len(stored) == 4 * NUM_PROBLEMS
    assert all(set(dict(row["others"])) == {"expected"} for row in stored)
    chosen = ran.rows('select distinct "by" as measure from raw_selections')
    assert [row["measure"] for row in chosen] == ["expected"]


def test_the_prompt_is_stored_with_the_run(ran: Ran) -> None:
    assert "own prompts" in ran.pages[0]
    assert "generate (ask.jinja)" in ran.pages[0]
    own = load_prompt("generate", str(ran.folder / "ask.jinja"))
    used = ran.rows("select distinct prompt_sha from raw_rationales where kind = 'long'")
    assert [row["prompt_sha"] for row in used] == [own.sha]
    for run in ran.rows("select prompts, prompt_texts from raw_runs"):
        assert f'"generate__ask": "{own.sha}"' in run["prompts"]
        assert "Count from mark to mark" in run["prompt_texts"]


def test_show_and_plan_know_the_new_kind(ran: Ran) -> None:
    (row,) = ran.rows("select rationale_id from raw_rationales where kind = 'retold' limit 1")
    shown = ran.litecot("show", row["rationale_id"], "--corpus", "corpus")
    assert f"retold [{row['rationale_id'][:8]}," in shown
    assert "short_enough]" in shown
    plan = ran.litecot("run", "own.toml", "--plan", "--corpus", "corpus")
    assert re.search(rf"retell teacher {NUM_PROBLEMS} {NUM_PROBLEMS} 0 ", plan)


def test_the_same_command_again_asks_nothing(ran: Ran) -> None:
    assert requests(ran.pages[0]) == 3 * NUM_PROBLEMS
    assert requests(ran.pages[1]) == 0
    assert set(made(ran.pages[1]).values()) == {0}


def test_an_edited_scorer_is_asked_anew_and_no_teacher(ran: Ran) -> None:
    assert requests(ran.pages[2]) == 0
    new = {stage: rows for stage, rows in made(ran.pages[2]).items() if rows and stage != "ingest"}
    assert set(new) == {"score", "select", "mix"}
    assert new["score"] == 2 * NUM_PROBLEMS
