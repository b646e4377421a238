"""Benchmarks are files: what ships is sound, and one of the user's own is read as it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.recipes.loading import load_recipe
from flows.recipes.plan import benchmark_sha
from tasks.benchmarks import BenchmarkError, load_benchmark, shipped_benchmarks
from tasks.intake.problems import IngestedProblem, read_problems, read_questions
from tasks.intake.readers import read_hub
from tasks.intake.sources import IngestError, Source, find_sources, parse_hub_id

ROWS = [
    {"Story": "Ann has 3 pens.", "Ask": "And 2 more?", "Gold": 5, "Kind": "sum", "note": "9"},
    {"Story": "Ann has 3 pens.", "Ask": "And 4 more?", "Gold": 7, "Kind": "sum", "note": "9"},
    {"Story": "Bob has 8 cups.", "Ask": "One breaks?", "Gold": 7, "Kind": "minus", "note": "9"},
]
OWN = """
title = "Stories"
data = "stories.jsonl"
licence = "CC0-1.0"
question = ["Story", "Ask"]
answer = "Gold"
subject = "Kind"
family = "Story"
answer_type = "integer"
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "stories.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    path = tmp_path / "stories.toml"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize("name", sorted(shipped_benchmarks()))
def test_what_ships_names_its_data_licence_and_columns(name: str) -> None:
    told = load_benchmark(name)
    assert told.name == name
    assert told.title
    assert told.licence
    assert told.source
    (source,) = find_sources([name])
    assert (source.name, source.benchmark) == (name, name)
    if source.kind == "hub":  # of a file here its rows say more
        assert parse_hub_id(told.data).split in ("test", "validation", "train")
        assert told.question
        assert told.answer
        assert told.answer_type


def test_the_benchmarks_people_ask_for_are_there() -> None:
    assert {
        "gsm8k", "math500", "aime24", "aime25", "amc23", "svamp", "strategyqa", "commonsenseqa",
        "date_understanding", "nano",
    } <= shipped_benchmarks().keys()  # fmt: skip


def test_own_rows_are_read_as_the_file_says(own: Path) -> None:
    items = list(read_problems([str(own)]))
    assert all(isinstance(item, IngestedProblem) for item in items)
    told = [(i.problem.question, i.problem.answer, i.problem.subject, i.family) for i in items]  # type: ignore[union-attr]
    assert told == [
        ("Ann has 3 pens.\nAnd 2 more?", "5", "sum", "Ann has 3 pens."),
        ("Ann has 3 pens.\nAnd 4 more?", "7", "sum", "Ann has 3 pens."),
        ("Bob has 8 cups.\nOne breaks?", "7", "minus", "Bob has 8 cups."),
    ]
    assert {i.problem.source for i in items} == {"stories"}  # type: ignore[union-attr]
    assert {i.problem.answer_type for i in items} == {"integer"}  # type: ignore[union-attr]


def test_what_is_held_out_is_read_the_same_way(own: Path) -> None:
    (_, first), *_ = read_questions([str(own)])
    assert first == "Ann has 3 pens.\nAnd 2 more?"


def test_nano_is_read_from_the_package() -> None:
    items = list(read_problems(["nano"]))
    assert len(items) == 200
    assert {item.problem.source for item in items} == {"nano"}  # type: ignore[union-attr]


def test_a_revision_reaches_the_hub() -> None:
    asked: dict[str, Any] = {}

    def load(name: str, config: str | None, **options: Any) -> list[dict[str, Any]]:
        asked.update(options, name=name, config=config)
        return [{"question": "1 + 1?"}]

    (gsm8k,) = find_sources(["gsm8k"])
    assert isinstance(gsm8k, Source)
    assert [row.fields for row in read_hub(gsm8k, load)] == [{"question": "1 + 1?"}]  # type: ignore[union-attr]
    assert asked == {
        "name": "openai/gsm8k", "config": "main", "split": "test",
        "revision": "e53f048856ff4f594e959d75785d2c2d37b678ee",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data = 'a/b'\ncolums = 1", "unknown key colums; known are answer, "),
        ("title = 'no data'", "data: Field required"),
        ("data = ", "Invalid value"),
        ("data = 3", "data: Input should be a valid string"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(BenchmarkError, match=rf"^benchmark {path}: .*") as caught:
        load_benchmark(str(path))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_none_says_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"no benchmark 'ame24' \(did you mean 'aime24'"):
        find_sources(["ame24"])
    with pytest.raises(BenchmarkError, match=r"no benchmark .*gone\.toml.*No such file"):
        find_sources([str(tmp_path / "gone.toml")])


def test_a_column_that_is_not_there_is_named(own: Path) -> None:
    own.write_text(OWN.replace('"Story"\nanswer_type', '"Tale"\nanswer_type'))
    with pytest.raises(IngestError, match="no column 'Tale'"):
        list(read_problems([str(own)]))


def test_one_set_under_two_names_is_given_twice(own: Path) -> None:
    with pytest.raises(IngestError, match="given twice"):
        find_sources([str(own), str(own.parent / "stories.jsonl")])


def test_its_identity_is_what_it_says_and_holds_not_where_it_lies(
    own: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for path in (own, own.parent / "stories.jsonl"):
        (elsewhere / path.name).write_bytes(path.read_bytes())
    assert benchmark_sha(str(own)) == benchmark_sha(str(elsewhere / own.name))
    (elsewhere / "stories.jsonl").write_text(json.dumps(ROWS[0]))
    assert benchmark_sha(str(own)) != benchmark_sha(str(elsewhere / own.name))


def test_a_recipe_may_name_one_beside_it(own: Path) -> None:
    recipe = own.parent / "mine.toml"
    recipe.write_text(
        'name = "mine"\nstages = ["evaluate"]\n[models.student]\nmodel = "nano:student"\n'
        '[evaluate]\nproblems = ["stories.toml", "aime24"]\n'
    )
    assert load_recipe(str(recipe)).evaluate.problems == (str(own), "aime24")
