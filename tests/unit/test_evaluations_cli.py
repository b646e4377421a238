"""`litecot evaluations` and `litecot frontier` as people use them: tables, CSV, JSON, a picture."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from flows.cli.evaluation.evaluations import PROMPTS
from tests.unit import evaluated_corpus as corpus
from tests.unit.evaluated_corpus import answers
from tests.unit.test_cli_unit import litecot, refusal

HOSTILE = "</text><script>alert(1)</script>[red]x[/red]&\x1b[31m\u202e http://evil.test/{{7*7}}"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, a shorter and better student, and a model with a name to beware of."""
    folder = tmp_path_factory.mktemp("evaluations") / "corpus"
    short = {0: "cccc", 1: "cccc", 2: "wwcw", 3: "nnnn"}
    rows = [
        *corpus.grades(),
        *answers("base", {0: "cccc", 1: "ccww", 2: "wwnw", 3: "--w-"}, tokens=50),
        *answers("student", short, tokens=30),
        *answers("student", {**short, 1: "wwww"}, tokens=5, compress=True),
        *answers(HOSTILE, {0: "cwww", 1: "wwww", 2: "wwww", 3: "wwww"}, tokens=900),
    ]
    corpus.write(folder, rows)
    others = answers("student", {0: "cc"}, benchmark="other", settings='{"temperature": 0.0}')
    corpus.write(folder, others, stage="fp-other")
    return folder


def printed(*arguments: object) -> str:
    code, out, err = litecot(*arguments)
    assert (code, err) == (0, "")
    return out


def records(*arguments: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(printed(*arguments, "--format", "json"))
    return found


def test_the_table_has_values_with_their_intervals(evaluated: Path) -> None:
    out = printed("evaluations", "--corpus", evaluated)
    (line,) = [line for line in out.splitlines() if "base" in line]
    told = records("evaluations", "--corpus", evaluated)
    (row,) = [one for one in told if one["model_id"] == "base"]
    assert row["accuracy"] == 0.375
    assert 0 < row["accuracy_low"] < 0.375 < row["accuracy_high"] < 1
    assert f"0.375 [{row['accuracy_low']:.3f}, {row['accuracy_high']:.3f}]" in line
    assert row["exact_low"] <= row["accuracy_low"]  # four questions: an exact interval is wider
    assert f"[{row['exact_low']:.3f}, {row['exact_high']:.3f}]" in line
    assert row["mean_tokens_low"] <= row["mean_tokens"] <= row["mean_tokens_high"]
    for name in ("median_tokens", "p95_tokens"):  # one of the lengths, within those there are
        assert 50 <= row[f"{name}_low"] <= row[name] <= row[f"{name}_high"] <= 53
    assert row["pass_at_k_low"] < row["pass_at_k"] == 0.5 < row["pass_at_k_high"]
    assert "18.8%" in line  # cut off: 3 of 16
    assert "#2" in line
    assert "settings #1: temperature 0.0\nsettings #2: max_tokens 100, temperature 0.6\n" in out


def test_levels_are_told_apart_on_demand(evaluated: Path) -> None:
    told = records("evaluations", "--corpus", evaluated, "--on", "sums", "--by", "level")
    levels = {r["level"]: r["accuracy"] for r in told if r["model_id"] == "base"}
    assert levels == {"all": 0.375, "easy": 0.75, "hard": 0.0, "ungraded": 0.0}
    assert {row["level"] for row in records("evaluations", "--corpus", evaluated)} == {"all"}


def test_csv_is_for_programs(evaluated: Path) -> None:
    out = printed("frontier", "--corpus", evaluated, "--on", "sums", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["model_id"], row["compress"], row["is_on_frontier"]) for row in rows[:3]] == [
        ("student", "True", "True"), ("student", "False", "True"), ("base", "False", "False"),
    ]  # fmt: skip
    assert rows[2]["dominated_by"] == "student"
    assert float(rows[0]["accuracy_low"]) < float(rows[0]["accuracy"])


def test_the_frontier_says_who_is_beaten_by_whom(evaluated: Path) -> None:
    out = printed("frontier", "--corpus", evaluated, "--on", "sums")
    lines = [line for line in out.splitlines() if "sums" in line]
    assert [("yes" in line, "no: student, plain" in line) for line in lines] == [
        (True, False), (True, False), (False, True), (False, True),
    ]  # fmt: skip


def test_what_is_not_there_is_refused(evaluated: Path, tmp_path: Path) -> None:
    asked = ("--corpus", evaluated)
    wrong = refusal("evaluations", *asked, "--on", "sums,sumz")
    assert "nothing was evaluated on 'sumz'; did you mean 'sums'? there are " in wrong
    assert "ends in .svg, .png, .html" in refusal("frontier", *asked, "--plot", "x.pdf")
    assert "there is no folder" in refusal("frontier", *asked, "--plot", tmp_path / "no" / "x.svg")
    corpus.write(tmp_path / "empty", [])
    assert "nothing was evaluated in this corpus" in refusal(
        "frontier", "--corpus", tmp_path / "empty"
    )


@pytest.fixture(scope="module")
def svg(evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("plot") / "frontier.svg"
    assert f"drawn: {file}" in printed("frontier", "--corpus", evaluated, "--plot", file)
    return file.read_text(encoding="utf-8")


def test_the_plot_is_an_svg_with_title_and_description(svg: str) -> None:
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title") == "Accuracy against inference tokens"
    told = root.findtext(f"{SVG}desc") or ""
    assert "sums: base, plain: accuracy 0.375, 51.5 tokens." in told
    assert "student, <compress>: accuracy 0.312, 6.5 tokens, on the frontier" in told
    shown = "".join(root.itertext())
    for words in ("sums", "other", "4 questions, 4 samples each", *PROMPTS.values(), "accuracy"):
        assert words in shown


def test_names_in_the_plot_are_text_and_nothing_is_fetched(svg: str) -> None:
    """A model's name is no markup, no script and no link."""
    root = ElementTree.fromstring(svg)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "title", "desc", "defs", "clipPath", "rect", "g", "path", "text", "line",
    }  # fmt: skip
    for element in root.iter():
        for name, value in element.attrib.items():
            assert "href" not in name
            assert "url(" not in value or value.startswith("url(#")
    shown = "".join(root.itertext())
    assert "\x1b" not in svg
    assert "\u202e" not in svg
    assert "{{7*7}}" in shown  # the end of the name, as it is


def test_the_picture_comes_as_png_and_as_a_page(evaluated: Path, tmp_path: Path) -> None:
    printed("frontier", "--corpus", evaluated, "--plot", tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    printed("frontier", "--corpus", evaluated, "--plot", tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "http" not in page
    assert 'src="data:image/svg+xml;base64,' in page


def test_hostile_names_stay_text_on_the_terminal(evaluated: Path) -> None:
    out = printed("evaluations", "--corpus", evaluated)
    assert "\x1b" not in out
    assert "[red]x[/red]" in out
    assert "\\x1b[31m\\u202e" in out


def test_many_models_are_numbered_on_the_frontier(tmp_path: Path) -> None:
    from flows.evaluations.metrics import frontier
    from flows.evaluations.plot import svg_of
    from sql.database import connect

    rows = [
        row
        for number in range(12)
        for row in answers(f"model-{number}", {0: "c" * (number + 1) + "w" * (12 - number)},
                           tokens=10 * (number + 1))
    ]  # fmt: skip
    with connect(corpus.write(tmp_path / "c", rows)) as database:
        root = ElementTree.fromstring(svg_of(frontier(database)))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"1", "12"} <= set(texts)
    assert "12 model-11, plain: 92.3% with 126 tokens" in "".join(root.itertext())
