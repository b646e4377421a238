"""The registry of scorers: what is declared, what a plug-in's scorer becomes, what is refused."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flows.recipes.loading import load_recipe
from flows.recipes.recipe import RecipeError
from infra.publishing.snapshot import write_snapshot
from infra.runs.plan import config_json
from sql.database import connect, statement
from sql.pending import stream_pending
from tasks.plugins import load_plugins
from tasks.ports import ScoreRequest
from tasks.registry import PluginError
from tasks.schemas import Score
from tasks.score import ScoreConfig, ScoreRecord, score, score_passes, score_request
from tasks.scorers import COLUMNS, SCORERS
from tasks.scorers.random import random_value
from tasks.scorers.scorer import Scorer
from tasks.select import SelectConfig, SelectRecord, select
from tests.fakes import ports
from tests.unit import sample_corpus as sample
from tests.unit.test_score import ALL, EIGHTH, WholeScorer, record, table

DOCS = Path(__file__).parents[2] / "docs" / "scoring.md"
BUILT_IN = ["grape", "ifd", "length", "naturalness", "random", "rd", "rsr"]
PLUGIN = '''
"""Two scorers from outside."""

from pydantic import BaseModel, ConfigDict

from tasks.ports import ScoreRequest
from tasks.scorers.scorer import Scorer, mean_nll


class Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    factor: float = 1.0


BREVITY = Scorer(
    name="brevity", formula="factor / number of tokens of r", unit="1 / token", better="higher",
    source="our choice", needs="q r", options=Options,
    value=lambda scored: scored.texts.options.factor / max(1, len(scored.rationale.logprobs)),
)
ECHO = Scorer(
    name="echo", formula="nll(a) + nll(r r), none for a short r", unit="nats", better="lower",
    source="our choice", needs="a · r r", passes=lambda settings: 2.0,
    beside=lambda texts: [
        ScoreRequest(prompt=None, targets=(texts.answer,)),
        ScoreRequest(prompt=None, targets=(texts.rationale, texts.rationale)),
    ],
    value=lambda scored: sum(map(mean_nll, scored.beside)) if len(scored.beside) == 3 else None,
)
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Path]:
    """The file, loaded."""
    file = tmp_path / "outside.py"
    file.write_text(PLUGIN)
    load_plugins([str(file)])
    yield file
    SCORERS.remove(str(file))


def scored(text: str = "one\ntwo\nThe answer is 4.", *, seed: int = 7, **settings: Any) -> Score:
    config = ScoreConfig.model_validate(settings)
    student = WholeScorer(table)
    known = ports(scoring={"student": student}, seed=seed)
    (row,) = asyncio.run(score(record(text), known, config))
    return row


# --- the declarations


def test_every_file_of_the_folder_is_a_scorer() -> None:
    folder = Path(__file__).parents[2] / "tasks" / "scorers"
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "scorer"}
    assert sorted(files) == [name for name in sorted(SCORERS) if not SCORERS.entry(name).sha]
    assert sorted(files) == BUILT_IN


def test_the_columns_are_those_of_the_table_and_of_the_view() -> None:
    declared = {name for name in Score.__dataclass_fields__ if name in SCORERS}
    assert declared == set(COLUMNS)
    view = statement("staging", "stg_score_values")
    shown = re.findall(r"'(\w+)'(?: as scorer)?, \w+ (?:as value )?from", view)
    assert set(shown) == {*COLUMNS, "length"}


def test_directions() -> None:
    assert {name for name in BUILT_IN if SCORERS[name].better == "higher"} == {
        "grape", "naturalness"
    }  # fmt: skip
    assert (SCORERS["rd"].sign, SCORERS["grape"].sign) == (1, -1)


def test_the_documented_table_is_the_registry() -> None:
    def cell(text: str) -> str:
        return text.replace("|", "\\|")

    expected = [
        f"| `{s.name}` | {cell(s.formula)} | {s.better} | {s.unit} | {cell(s.source)} | {s.needs} |"
        for s in (SCORERS[name] for name in (*COLUMNS, "length", "random"))
    ]
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    start = lines.index("| scorer | formula | better | unit | source | texts it needs |") + 2
    assert lines[start : start + len(expected) + 1] == [*expected, ""]


@pytest.mark.parametrize(
    "wrong", [{"name": "Bad Name"}, {"name": ""}, {"better": "shorter"}], ids=str
)
def test_a_wrong_declaration_is_refused(wrong: dict[str, Any]) -> None:
    declared: dict[str, Any] = {
        "name": "x", "formula": "1", "unit": "none", "better": "lower", "source": "our choice",
        "needs": "none", "value": lambda scored: 1.0,
    }  # fmt: skip
    assert Scorer(**declared).sign == 1
    with pytest.raises(ValueError, match="scorer"):
        Scorer(**{**declared, **wrong})


# --- the settings


def test_an_unknown_scorer_is_named_with_those_there_are() -> None:
    told = r"no scorer 'perplexity'; there are: grape, ifd, length, naturalness, random, rd, rsr"
    with pytest.raises(ValidationError, match=told):
        ScoreConfig(scorers=("rd", "perplexity"))
    with pytest.raises(RecipeError, match=f"score.scorers: {told}"):
        load_recipe("morsd", overrides=['score.scorers=["perplexity"]'])


def test_defaults_are_as_they_were() -> None:
    assert ScoreConfig().scorers == ("rd", "ifd", "grape", "rsr")


@pytest.mark.parametrize("window", [0, 2, 5])
@pytest.mark.parametrize("listed", [("rd",), ("ifd",), ("naturalness", "length"), ALL])
def test_passes_over_the_rationale(listed: Sequence[str], window: int) -> None:
    config = ScoreConfig(scorers=tuple(listed), window_steps=window)
    expected = 1 + ("ifd" in listed) + (1 + window) * ("naturalness" in listed)
    assert score_passes(config) == expected


def test_options_of_a_scorer(plugin: Path) -> None:
    row = scored(scorers=["brevity"], options={"brevity": {"factor": 6}})
    assert row.others == {"brevity": 3.0}
    assert scored(scorers=["brevity"]).others == {"brevity": 0.5}


@pytest.mark.parametrize(
    ("listed", "options", "told"),
    [
        (["brevity"], {"brevity": {"factor": "big"}}, r"options\.brevity\.factor: Input should be"),
        (["brevity"], {"brevity": {"facto": 1}}, r"options\.brevity\.facto: Extra inputs"),
        (["rd"], {"brevity": {"factor": 1}}, r"options\.brevity: 'brevity' is no scorer of"),
        (["echo"], {"echo": {"factor": 1}}, r"options\.echo: 'echo' is no scorer of"),
        (["rd"], {"nobody": {}}, r"options\.nobody: 'nobody' is no scorer of"),
    ],
)
def test_wrong_options_are_one_line(
    plugin: Path, listed: list[str], options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValidationError, match=told):
        ScoreConfig(scorers=tuple(listed), options=options)


# --- the stage


def test_requests_do_not_depend_on_the_order_of_the_list() -> None:
    prompt = ports().prompts.render("generate", question="q")
    requests = [
        score_request(record("one\ntwo"), prompt, ScoreConfig(scorers=listed, strip_answer=False))
        for listed in (ALL, tuple(reversed(ALL)), (*ALL, "length", "random"))
    ]
    assert requests[0] == requests[1] == requests[2]
    assert [each.targets for each in requests[0].beside] == [
        ("The answer is 4.",), ("one\ntwo",), ("one\n",), ("two",)
    ]  # fmt: skip


def test_rd_is_computed_where_it_is_not_listed() -> None:
    assert scored(scorers=["grape"]).rd == scored(scorers=["rd"]).rd == pytest.approx(0.25)


def test_scorers_without_a_column_are_in_others() -> None:
    row = scored(scorers=["rd", "length", "random"])
    assert row.others is not None
    assert row.others.keys() == {"length", "random"}
    assert row.others["length"] == row.num_tokens == 2
    assert scored().others is None


def test_what_a_scorer_from_outside_asks_for_is_its_own(plugin: Path) -> None:
    """The answer's three texts, beside what ifd and naturalness asked for."""
    alone = scored(scorers=["echo"])
    assert alone.others is not None
    together = scored(scorers=[*ALL, "echo", "brevity"])
    assert together.others == {"echo": alone.others["echo"], "brevity": 0.5}
    assert together.others["echo"] > 0
    assert (together.ifd, together.naturalness) == (0.5, EIGHTH)
    assert score_passes(ScoreConfig(scorers=("echo",))) == 3


def test_none_is_not_stored(plugin: Path) -> None:
    def nothing(request: ScoreRequest, number: int) -> tuple[Sequence[float], Sequence[int]]:
        return [], []

    config = ScoreConfig(scorers=("echo",))
    known = ports(scoring={"student": WholeScorer(nothing)})
    (row,) = asyncio.run(score(record(""), known, config))
    assert row.others == {"echo": 0.0}
    assert row.ifd is None


def test_a_plug_in_belongs_to_the_fingerprint(plugin: Path) -> None:
    assert ScoreConfig().sources() == ()
    assert ScoreConfig(scorers=("rd", "brevity")).sources() == (SCORERS.entry("brevity").sha,)


def test_a_plug_in_cannot_replace_a_scorer(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN.replace('"brevity"', '"rd"'))
    with pytest.raises(PluginError, match=r"scorer 'rd' is there already \(built-in\)"):
        load_plugins([str(file)])
    SCORERS.remove(str(file))
    assert SCORERS.entry("rd").origin == "built-in"


@given(st.text(max_size=20), st.integers(0, 2**31))
def test_random_is_a_number_of_id_and_seed(name: str, seed: int) -> None:
    value = random_value(name, seed=seed)
    assert 0 <= value < 1
    assert value == random_value(name, seed=seed)
    assert value != random_value(name, seed=seed + 1)
    assert value != random_value(name + "x", seed=seed)


def test_random_is_uniform() -> None:
    values = [random_value(str(number), seed=3) for number in range(2000)]
    assert abs(sum(values) / 2000 - 0.5) < 0.03
    tenths = Counter(int(10 * value) for value in values)
    assert all(140 <= tenths[n] <= 260 for n in range(10))


def test_random_follows_the_runs_seed() -> None:
    settings: dict[str, Any] = {"scorers": ["random"]}
    assert scored(seed=1, **settings).others == scored(seed=1, **settings).others
    assert scored(seed=1, **settings).others != scored(seed=2, **settings).others


# --- select.by and score.scorers


@pytest.mark.parametrize("name", ["naturalness", "random"])
def test_what_is_selected_by_must_be_scored(name: str) -> None:
    told = (
        rf"select\.by = '{name}' needs it in score\.scorers: set score\.scorers = \[.*\"{name}\"]"
    )
    with pytest.raises(RecipeError, match=told):
        load_recipe("morsd", overrides=[f"select.by={name}"])
    scorers = f'score.scorers=["rd", "{name}"]'
    assert load_recipe("morsd", overrides=[f"select.by={name}", scorers]).select.by == name


def test_each_scorer_of_a_blend_must_be_scored() -> None:
    by = "select.by={rd = 0.5, ifd = 0.25, random = 0.25}"
    told = r"select\.by = '0\.25 ifd \+ 0\.25 random \+ 0\.5 rd' needs 'ifd' and 'random' in"
    with pytest.raises(RecipeError, match=told):
        load_recipe("morsd", overrides=[by])


@pytest.mark.parametrize("by", ["rd", "length", "{rd = 1, length = 1}"])
def test_rd_and_length_are_always_there(by: str) -> None:
    load_recipe("morsd", overrides=[f"select.by={by}", 'score.scorers=["grape"]'])


# --- from outside, all the way


def plugged_corpus(folder: Path, config: ScoreConfig) -> dict[str, list[str]]:
    """Two chains of one problem, scored by the stage itself."""
    known = ports(scoring={"student": WholeScorer(words_are_tokens)})
    rows = [made for made in sample.EVERYTHING if made.row.table in ("runs", "memberships")]
    rows += [sample.problem(0)]
    for number, text in enumerate(["one two three", "one"]):
        chain = sample.rationale("generate", sample.P0, candidate=number, text=text)
        asked = ScoreRecord(
            record_id=chain.id, problem_id=sample.P0, question="q", answer="4", text=text
        )
        (row,) = asyncio.run(score(asked, known, config))
        rows += [chain, sample.Made("score", row)]
    return sample.write_rows(folder, rows)


def words_are_tokens(request: ScoreRequest, number: int) -> tuple[list[float], list[int]]:
    num_tokens = len(request.targets[number].split())
    return [-1.0] * num_tokens, [2] * num_tokens


def test_a_scorer_from_outside_goes_all_the_way(plugin: Path, tmp_path: Path) -> None:
    """Scored, stored, queried, selected by, and on the card."""
    corpus = tmp_path / "corpus"
    database = connect(plugged_corpus(corpus, ScoreConfig(scorers=("rd", "brevity"))))
    database.set_run(sample.RUN_ID, sample.FINGERPRINTS)
    assert database.run("select others from stg_scores order by num_tokens").rows == [
        ({"brevity": 1.0},), ({"brevity": 1 / 3},)
    ]  # fmt: skip
    query = "select value from stg_score_values where scorer = 'brevity' order by value"
    assert database.run(query).rows == [(1 / 3,), (1.0,)]

    config = SelectConfig(by="brevity", threshold=0.5, keep_per_problem=None)
    (pending,) = stream_pending(
        database, reads="select", table="selections", fingerprint="fp-select",
        config=config_json(config), shard=None,
    )  # fmt: skip
    decided = asyncio.run(select(SelectRecord.from_row(pending), ports(), config))
    told = sorted((row.by, row.value, row.reason) for row in decided)
    assert told == [("brevity", 1 / 3, "beyond_threshold"), ("brevity", 1.0, "kept")]

    rows = [sample.Made("select", row) for row in decided]
    rows += [sample.example(row.rationale_id, "original") for row in decided if row.kept]
    database = connect(sample.write_rows(corpus, rows))
    found = database.run_file("analyses", "scores_by_outcome").records()
    means = {(r["filter"], r["scorer"]): r["mean_value"] for r in found}
    assert means["kept", "brevity"] == 1.0
    assert means["difficulty", "brevity"] == 0.3333

    write_snapshot(database, tmp_path / "snapshot", licences={})
    card = (tmp_path / "snapshot" / "README.md").read_text()
    line = "| brevity | factor / number of tokens of r | higher | our choice | 1 | 1.0 | 1.0 |"
    assert line in card
    SCORERS.remove(str(plugin))  # a reader without the plug-in
    write_snapshot(database, tmp_path / "again", licences={})
    card = (tmp_path / "again" / "README.md").read_text()
    assert "| brevity | of a plug-in that is not loaded | not known | not known | 1 |" in card


def test_values_in_the_long_form(tmp_path: Path) -> None:
    """Built-in ones and others alike, each once, those without a value left out."""
    row = sample.score(sample.LONG.id, math.inf).row
    values = {**row.__dict__, "grape": -0.5, "others": {"length": 9.0, "mine": math.nan}}
    base = [m for m in sample.EVERYTHING if m.row.table in ("runs", "problems", "memberships")]
    made = sample.Made("score", Score(**values))
    database = connect(sample.write_rows(tmp_path / "c", [*base, made]))
    found = database.run("select scorer, value from stg_score_values order by scorer").rows
    assert json.dumps(found) == json.dumps(
        [("grape", -0.5), ("length", 9.0), ("mine", math.nan), ("rd", math.inf)]
    )
