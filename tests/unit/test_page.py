"""The page of a run: one file that asks for nothing, in which what models wrote is text, and whose
numbers are the queries'."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import html5lib
import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from flows.page.drawing import COLOURS, bare
from flows.page.figures import GAP, amount, count, seconds, share
from flows.page.mathematics import Formula, parts
from flows.page.side_by_side import MOST_CHARACTERS, formatted, marked
from flows.page.writing import FOLDER, NoRunError, page_of
from flows.progress.text import is_plain
from infra.storage.store import REPORT
from sql.database import Database, connect
from tests.unit import sample_corpus as sample
from tests.unit.sample_corpus import Made

NAMESPACES = {
    "": "http://www.w3.org/1999/xhtml", "svg": "http://www.w3.org/2000/svg",
    "math": "http://www.w3.org/1998/Math/MathML",
}  # fmt: skip
HTML, SVG = f"{{{NAMESPACES['']}}}", f"{{{NAMESPACES['svg']}}}"
HOSTILE = [
    "<script>alert(1)</script>", "</title></style></svg></pre><script>alert(2)</script>",
    "]]><!-- --><![CDATA[<img src=x onerror=alert(3)>", '"><a href="javascript:alert(4)">x</a>',
    "&lt;b&gt; &amp; &#x202e; \u202eevil\u2066 \u200b \x00 \x1b[31m \x85 \ufeff",
    "${alert(5)} {{ 7 * 7 }} {% raw %} #{x}", "a" * 5000, "e\u0301" * 300,
    r"$\href{javascript:alert(6)}{x}$ $x^2$ \[ \frac{1}{2} \] costs $5 and $6",
    "\N{ARABIC LETTER ALEF}\N{ARABIC LETTER BEH} 1 < 2 \r\n\ttab",
]  # fmt: skip
EVIL = "\n".join(HOSTILE)


def replaced(made: Made, **columns: Any) -> Made:
    return replace(made, row=replace(made.row, **columns))  # type: ignore[type-var]


def hostile_rows() -> list[Made]:
    """The sample with hostile words wherever a model, a source or a recipe may put some."""
    words: dict[str, dict[str, Any]] = {
        "rationales": {"text": EVIL, "model": EVIL, "extracted_answer": EVIL},
        "rejections": {"detail": EVIL, "reason": HOSTILE[1], "model": EVIL},
        "selections": {"reason": HOSTILE[3]},
        "evaluations": {"text": EVIL, "benchmark": HOSTILE[0]},
        "runs": {"settings": '{"a": "</pre><script>alert(7)</script>"}',
                 "prompts": '{"<b>p": "s"}', "prompt_texts": '{"s": "</pre><script>"}'},
        "forecasts": {"benchmark": HOSTILE[0]},
        "training_steps": {"base": EVIL},
    }  # fmt: skip
    return [replaced(made, **words.get(made.row.table, {})) for made in sample.EVERYTHING]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    folder = tmp_path_factory.mktemp("page") / "corpus"
    others = {
        id(sample.LONG): {"text": "one two\n" + "x " * 500_000},
        id(sample.FORECAST): {"settings": "{}"},
    }
    rows = [replaced(made, **others.get(id(made), {})) for made in sample.EVERYTHING]
    answer = sample.evaluation("trained", compress=False, verdict="correct", num_tokens=60)
    answer = replaced(
        answer, model_id=sample.MODEL.id, settings="{}"
    )  # of the student that was forecast
    sample.write_rows(folder, [*rows, answer, sample.INVOCATION])
    return connect(sample.write_rows(folder, []))


@pytest.fixture(scope="module")
def text(database: Database) -> str:
    return page_of(database, corpus="corpus")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("hostile") / "corpus"
    return page_of(connect(sample.write_rows(folder, hostile_rows())), corpus=HOSTILE[1])


@pytest.fixture(params=["sample", "hostile"])
def page(request: pytest.FixtureRequest) -> Element:
    return parsed(request.getfixturevalue({"sample": "text"}.get(request.param, "hostile")))


def parsed(text: str) -> Element:
    """As a browser reads it. Raises where the markup has a fault."""
    root: Element = html5lib.HTMLParser(strict=True).parse(text)
    return root


def all_of(root: Element, *tags: str) -> list[Element]:
    return [element for element in root.iter() if element.tag in {HTML + tag for tag in tags}]


def said(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def test_nothing_in_it_runs_or_is_asked_for(page: Element) -> None:
    known = {HTML, SVG, f"{{{NAMESPACES['math']}}}"}
    for element in page.iter():
        space, _, tag = str(element.tag).partition("}")
        assert f"{space}}}" in known
        assert tag not in {"script", "iframe", "object", "embed", "link", "img", "image", "base",
                           "form", "input", "audio", "video", "use", "foreignObject"}  # fmt: skip
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on")
            assert name not in {"src", "style", "action", "srcset", "background"}
            assert "href" not in name or value.startswith("#")
    policy = [one.attrib["content"] for one in all_of(page, "meta") if "http-equiv" in one.attrib]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    (style,) = all_of(page, "style")
    assert "url(" not in said(style)
    assert "@import" not in said(style)


def test_what_models_wrote_stays_text(hostile: str) -> None:
    shown = said(parsed(hostile))
    for word in HOSTILE[:4]:
        assert word in shown
    assert "{{ 7 * 7 }}" in shown
    assert r"\u202eevil\u2066 \u200b \x00 \x1b[31m \x85 \ufeff" in shown
    assert is_plain(hostile)
    assert len(hostile) < 600_000


def test_every_picture_has_words_and_a_table(page: Element) -> None:
    sections = [section for section in all_of(page, "section") if section.find(f"{HTML}figure")]
    assert len(sections) >= 8
    for section in sections:
        (svg,) = section.iter(f"{SVG}svg")
        assert svg.attrib["role"] == "img"
        named = {child.attrib.get("id"): child for child in svg}
        for label in ("aria-labelledby", "aria-describedby"):
            assert said(named[svg.attrib[label]])
        (caption,) = section.iter(f"{HTML}figcaption")
        assert said(caption)
        assert len(all_of(section, "table")) == 1
    for table in all_of(page, "table"):
        assert said(table.find(f"{HTML}caption"))  # type: ignore[arg-type]
        heads = all_of(table, "th")
        assert {head.attrib["scope"] for head in heads} >= {"col"}
        assert all(said(head) for head in heads if head.attrib["scope"] == "col")


def test_it_can_be_walked_through_by_ear_and_keyboard(page: Element) -> None:
    levels = [int(one.tag[-1]) for one in all_of(page, "h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [one.attrib["id"] for one in page.iter() if "id" in one.attrib]
    assert len(ids) == len(set(ids))
    links = [one.attrib["href"][1:] for one in all_of(page, "a")]
    assert {*links} <= {*ids}
    assert links[0] == "content"
    assert [len(all_of(page, tag)) for tag in ("main", "nav", "header", "footer")] == [1, 1, 1, 1]
    assert page.attrib["lang"] == "en"
    scrolled = [one for one in page.iter() if one.attrib.get("class") == "scroll"]
    assert all(one.attrib["tabindex"] == "0" and one.attrib["aria-label"] for one in scrolled)


def table_of(page: Element, caption: str) -> list[list[str]]:
    """Its rows, thousands without their gap."""
    (found,) = [
        table for table in all_of(page, "table")
        if said(table.find(f"{HTML}caption")).startswith(caption)  # type: ignore[arg-type]
    ]  # fmt: skip
    return [
        [said(cell).replace(GAP, "") for cell in row]
        for row in all_of(found.find(f"{HTML}tbody"), "tr")  # type: ignore[arg-type]
    ]


def test_its_numbers_are_the_queries(database: Database, text: str) -> None:
    page = parsed(text)
    funnel = database.rows_of("funnel").records()
    assert [row[1:3] for row in table_of(page, "Problems at each step")] == [
        [str(row["num_problems"]), str(row["num_rows"])] for row in funnel
    ]
    lengths = database.run_file("report", "token_quantiles").records()
    assert [
        (row[0], row[1], row[2], float(row[3])) for row in table_of(page, "Tokens by kind")
    ] == [
        (row["kind"], row["level"], str(row["num_chains"]), row["mean_tokens"]) for row in lengths
    ]
    steps = database.run_file("report", "compression_waterfall").records()
    assert [row[2:4] for row in table_of(page, "Tokens by round")] == [
        [str(row["change"]), str(row["tokens_left"])] for row in steps
    ]
    used = database.run_file("report", "usage_and_price").records()
    assert [row[:5] for row in table_of(page, "Requests, tokens")] == [
        [str(row[key]) for key in
         ("stage", "model", "num_requests", "prompt_tokens", "completion_tokens")]
        for row in used
    ]  # fmt: skip
    frontier = database.rows_of("frontier").records()
    compared = table_of(page, "sample, 1 question; as in run")
    assert sorted(float(row[4].rstrip("%")) for row in compared) == sorted(
        100 * row["accuracy"] for row in frontier if row["settings"] == sample.RUN_ID
    )
    (forecast,) = database.rows_of("forecasts_against_truth").records()
    (row,) = table_of(page, "Forecasts of accuracy")
    assert row[2:6] == [share(forecast[key]) for key in ("predicted", "low", "high", "truth")]
    head = database.run_file("report", "headline").records()[0]
    tiles = [said(one) for one in all_of(page, "dd") if one.find(f"{HTML}span") is not None]
    assert tiles[0] == str(head["num_problems"])
    assert f"{head['num_correct']} of {head['num_long']} rationales" in tiles[1]


def test_a_million_letters_are_not_shown(text: str) -> None:
    assert len(text) < 300_000
    assert f"and {count(1_000_008 - MOST_CHARACTERS)} more characters" in text


def test_what_there_is_nothing_of_is_said(tmp_path: Path) -> None:
    parts = sample.write_rows(tmp_path / "corpus", [Made("run", sample.RUN)])
    shown = said(parsed(page_of(connect(parts), corpus="corpus")))
    for line in ("There are no problems.", "There are no rationales.", "compressed nothing",
                 "Nothing was scored", "There is no rationale to show.", "No student was trained.",
                 "Nothing was evaluated.", "No forecast student", "No model was asked",
                 "Nothing was rejected"):  # fmt: skip
        assert line in shown
    with pytest.raises(NoRunError, match="has no run to report: `litecot run` makes one"):
        page_of(connect({}), corpus="here")


def test_the_price_is_the_recipes(tmp_path: Path) -> None:
    run = replaced(Made("run", sample.RUN), settings=(
        '{"models": {"teacher": {"model": "teacher"}, "student": {"model": "s"}}, "estimate":'
        ' {"price": {"teacher": {"input": 1000, "output": 100000, "currency": "EUR"}}}}'
    ))  # fmt: skip
    rows = [run, sample.problem(0), sample.member(sample.P0), sample.LONG]
    invocation = replaced(
        sample.INVOCATION, stage_seconds='{"generate": 2.5, "evaluate-base": 1}',
        stage_rows='{"generate": 4}',
    )  # fmt: skip
    found = connect(sample.write_rows(tmp_path / "corpus", [*rows, invocation]))
    (used,) = found.run_file("report", "usage_and_price").records()
    assert (used["price"], used["currency"]) == (10 * 1000 / 1e6 + 100 * 100_000 / 1e6, "EUR")
    assert found.run_file("report", "stage_times").rows == [
        ("generate", 1, 4, 2.5), ("evaluate-base", 1, None, 1.0),
    ]  # fmt: skip
    shown = parsed(page_of(found, corpus="corpus"))
    assert table_of(shown, "Requests, tokens")[0][-1] == "10.0 EUR"


def test_scores_are_ranked_within_their_condition(tmp_path: Path) -> None:
    """Of four scored rationales the kept has the lowest RD."""
    chains = [sample.rationale("generate", sample.P0, candidate=n) for n in range(4)]
    rows = [Made("run", sample.RUN), sample.problem(0), sample.member(sample.P0), *chains]
    rows += [sample.score(chain.id, float(n)) for n, chain in enumerate(chains)]
    rows += [sample.selection(chain.id, "original", kept=n == 0) for n, chain in enumerate(chains)]
    found = connect(sample.write_rows(tmp_path / "corpus", rows))
    ranks = found.run_file("report", "score_ranks").records()
    assert [(row["kept"], row["num_rationales"], row["median"], row["median_value"])
            for row in ranks if row["scorer"] == "rd"] == [
        (True, 1, 0.0, 0.0), (False, 3, 0.6667, 2.0),
    ]  # fmt: skip


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(
        weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
    )


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_are_told_from_what_they_stand_on(scheme: str) -> None:
    css = (FOLDER / "page.css").read_text()
    block = re.findall(r":root \{(.*?)\}", css, re.S)[scheme == "dark"]
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", block))
    for ink, grounds in (("ink", "page box"), ("soft", "page box"), ("link", "page box"),
                         ("cut-ink", "cut")):  # fmt: skip
        for ground in grounds.split():
            assert contrast(colours[ink], colours[ground]) >= 4.5  # WCAG 1.4.3
    assert contrast("#ffffff" if scheme == "light" else "#15181c", colours["page"]) == 1


@pytest.mark.parametrize("colour", COLOURS)
def test_marks_are_told_from_a_white_and_a_dark_page(colour: str) -> None:
    for ground in ("#ffffff", "#15181c"):
        assert contrast(colour, ground) >= 3  # WCAG 1.4.11


def test_an_svg_keeps_only_what_draws() -> None:
    drawn = bare(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="5" onload="x()">'
        '<g id="a" clip-path="url(#a)" role="x" aria-label="y" font-family="z"><text>&lt;</text>'
        "</g>"
        '<path class="background" d="M0"/></svg>',
        key="k", title="T <", told="D",
    )  # fmt: skip
    assert drawn == (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 5" width="9" height="5" role="img"'
        ' aria-labelledby="k-title" aria-describedby="k-told"><title id="k-title">T &lt;</title>'
        '<desc id="k-told">D</desc><g id="k-a" clip-path="url(#k-a)"><text>&lt;</text></g></svg>'
    )
    with pytest.raises(ValueError, match="an SVG with <script>"):
        bare('<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"><script/></svg>',
             key="k", title="t", told="d")  # fmt: skip


@pytest.mark.parametrize(
    ("latex", "shown"),
    [
        ("$x^2$", "<msup><mi>x</mi><mn>2</mn></msup>"),
        (r"\(\frac{a}{b}\)", "<mfrac>"),
        (r"\[\sqrt{2}\]", 'display="block"'),
        ("$$a<b$$", "<mo>&lt;</mo>"),
        (r"$\href{javascript:alert(1)}{x}$", "<mi>x</mi>"),
    ],
)
def test_formulas_are_shown_as_mathematics(latex: str, shown: str) -> None:
    (formula,) = parts(latex)
    assert isinstance(formula, Formula)
    assert shown in formula.mathml
    assert "javascript" not in formula.mathml


@pytest.mark.parametrize(
    "text",
    ["$5 and $6", "it costs $5, or 6$", r"$\nosuchcommand{x}$", "$" + "{" * 100 + "$",
     r"\(\left(\)",
     r"$\frac" + r"\frac" * 50 + "$", "$x", "a$$b", "$a\u202eb$", r"\$x^2\$"],
)  # fmt: skip
def test_what_is_no_formula_stays_text(text: str) -> None:
    assert "".join(part for part in parts(text) if isinstance(part, str)) == text


def test_words_the_next_version_has_no_more_are_struck() -> None:
    versions = marked(["so then $x$ is 1 <b>", "then $x$ is 1 <b>", "$x$ is <b>"])
    assert [one.html.split("<math")[0] for one in versions] == [
        "<del>so </del>then ", "<del>then </del>", "",
    ]  # fmt: skip
    assert [one.share_cut for one in versions] == [1 / 6, 2 / 5, None]
    assert versions[1].html.endswith("</math> is <del>1 </del>&lt;b&gt;")


def test_a_repetitive_text_costs_no_time() -> None:
    """difflib alone takes minutes over it."""
    started = time.perf_counter()
    marked(["a " * 2000, "a b " * 1000])
    assert time.perf_counter() - started < 20


def test_a_lone_surrogate_is_seen() -> None:
    assert formatted("a\ud800<") == r"a\ud800&lt;"


def test_numbers_as_people_read_them() -> None:
    assert [count(1234567), count(None), amount(0.12345), amount(1234.5), amount(float("inf"))] == [
        f"1{GAP}234{GAP}567", "–", "0.1235", f"1{GAP}234", "–"]  # noqa: RUF001  # fmt: skip
    assert [seconds(3.21), seconds(245), seconds(7384)] == ["3.2 s", "4 min 5 s", "2 h 3 min"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    sample.write_sample(folder)
    return folder


def litecot(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["report", *arguments])


def test_the_command_keeps_it_in_the_corpus_or_where_it_is_told(corpus: Path) -> None:
    done = litecot("--corpus", str(corpus), "--run", sample.RUN_ID[:6])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{corpus / REPORT}: ")
    assert f"Run {sample.RUN_ID}" in said(parsed((corpus / REPORT).read_text()))
    checked = CliRunner().invoke(app, ["corpus", "check", "--corpus", str(corpus)])
    assert REPORT not in checked.output  # it is no stranger there
    output = corpus.parent / "mine.html"
    assert litecot("--corpus", str(corpus), "--output", str(output)).exit_code == 0
    assert output.read_text().startswith("<!doctype html>")
    again = litecot("--corpus", str(corpus), "--output", str(output))
    assert again.exit_code == 2
    assert "is there already; name another file, or add --force" in again.stderr
    none = litecot("--corpus", str(corpus.parent / "none"))
    assert none.exit_code == 2
    assert len(none.stderr.splitlines()) == 1
