"""Paths of a recipe: relative to its file, stored without a place, the same however spelt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flows.recipes.loading import load_recipe
from flows.recipes.plan import draft_plan, input_files, input_hashes, run_plan
from flows.recipes.recipe import Recipe
from flows.session import Order, resolve_recipe
from infra.runs.plan import RunPlan
from tasks.intake.sources import file_sha, is_file_name
from tasks.schemas import content_id
from tests.unit.test_cli_unit import litecot
from tests.unit.test_recipes import STAGES, save_model

# Of `nano`, before files of one's own were known by what they hold: its rows are to stay.
# (The run's id is of selection's revision 1 and of training's.)
NANO_INGEST, NANO_RUN = "186b318258d3534e", "32a4d90ff4744756"
PROBLEM = '{{"question": "{} + 2 = ?", "answer": "4"}}\n'
RECIPE = """
name = "mine"
stages = {stages}
problems = ["./data/train.jsonl", "more.csv"]
[hygiene]
evaluation_sets = ["../sets/held_out.jsonl"]
[models.teacher]
model = "../models/teacher"
[models.student]
model = "./student"
[generate]
prompt = "prompts/say.jinja"
[rewrite]
check_prompt = "./prompts/check.jinja"
[evaluate]
problems = ["data/eval.jsonl.gz"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recipe with everything it names beside it or above it."""
    home = tmp_path / "place" / "recipes"
    for name in ("data", "prompts", "../sets", "../models"):
        (home / name).mkdir(parents=True)
    (home / "data/train.jsonl").write_text(PROBLEM.format(1))
    (home / "more.csv").write_text("question,answer\n2 + 2 = ?,4\n")
    (home / "data/eval.jsonl.gz").write_bytes(b"\x1f\x8b")
    (home / "../sets/held_out.jsonl").write_text(PROBLEM.format(3))
    save_model(home / "../models/teacher", weights="teacher")
    save_model(home / "student", weights="student")
    (home / "prompts/say.jinja").write_text("Say. {{ question }}")
    (home / "prompts/check.jinja").write_text("{{ question }} {{ rationale }}?")
    (home / "mine.toml").write_text(RECIPE.format(stages=json.dumps(STAGES)))
    return home


def stored(plan: RunPlan) -> dict[str, Any]:
    recipe: dict[str, Any] = json.loads(plan.resolved)["recipe"]
    return recipe


def sha_of(path: Path) -> str:
    return file_sha(path)[:16]


# --- relative to the recipe's file


def test_a_recipe_is_the_same_wherever_it_is_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = []
    places = {folder: "mine.toml", tmp_path: "place/recipes/mine.toml",
              folder / "data": "../mine.toml", Path("/"): str(folder / "mine.toml")}  # fmt: skip
    for place, name in places.items():
        monkeypatch.chdir(place)
        plans.append(run_plan(load_recipe(name)))
    assert len({plan.run_id for plan in plans}) == 1
    assert len({str(plan.fingerprints) for plan in plans}) == 1


def test_nothing_stored_says_where(folder: Path) -> None:
    plan = draft_plan(load_recipe(str(folder / "mine.toml")))
    assert str(folder.parent.parent) not in plan.resolved
    assert "/" not in json.dumps(stored(plan)["models"])
    assert stored(plan)["problems"] == [
        f"train.jsonl@sha256:{sha_of(folder / 'data/train.jsonl')}",
        f"more.csv@sha256:{sha_of(folder / 'more.csv')}",
    ]
    (held_out,) = stored(plan)["hygiene"]["evaluation_sets"]
    assert held_out == f"held_out.jsonl@sha256:{sha_of(folder / '../sets/held_out.jsonl')}"
    assert stored(plan)["evaluate"]["problems"][0].startswith("eval.jsonl.gz@sha256:")
    assert (
        stored(plan)["generate"]["prompt"] == f"say.jinja@sha256:{plan.prompts()['generate__say']}"
    )
    assert stored(plan)["models"]["student"]["model"].startswith("student@sha256:")


def test_the_command_line_is_relative_to_the_working_directory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.jsonl").write_text(PROBLEM.format(9))
    (tmp_path / "here.jinja").write_text("Here. {{ question }}")
    order = Order(
        recipe="place/recipes/mine.toml", problems=("here.jsonl",),
        overrides=("generate.prompt=./here.jinja", 'evaluate.problems=["./here.jsonl"]',
                   "models.teacher.model=./place/models/teacher"),
    )  # fmt: skip
    recipe = resolve_recipe(order)
    assert (recipe.problems, recipe.evaluate.problems) == (("here.jsonl",), ("./here.jsonl",))
    assert recipe.generate.prompt == "./here.jinja"
    assert recipe.models.teacher is not None
    assert recipe.models.teacher.model == "./place/models/teacher"
    assert recipe.models.student.model == "./place/recipes/student"
    assert recipe.rewrite.check_prompt == "place/recipes/prompts/check.jinja"


def test_home_is_written_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir("/")
    overrides = [
        'problems=["~/data/train.jsonl"]', "generate.prompt=~/prompts/say.jinja",
        "models.student.model=~/student",
    ]  # fmt: skip
    recipe = load_recipe(str(folder / "mine.toml"), overrides=overrides)
    assert recipe.problems == (f"{folder}/data/train.jsonl",)
    assert recipe.models.student.model == f"{folder}/student"
    run_plan(recipe)


@pytest.mark.parametrize(
    ("name", "is_file"),
    [
        ("a.jsonl", True), ("org/name.parquet", True), ("a.csv.gz", True), ("./a", True),
        ("/a/b", True), ("~/a", True), ("openai/gsm8k", False), ("openai/gsm8k:main:train", False),
        ("nano:train", False),
    ],
)  # fmt: skip
def test_files_and_hub_ids_are_told_apart(name: str, is_file: bool) -> None:
    assert is_file_name(name) == is_file


def test_hub_ids_ours_and_a_servers_names_stay(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        """
        name = "mine"
        stages = ["generate", "score"]
        problems = ["openai/gsm8k:main:train", "nano:train"]
        [models.teacher]
        engine = "endpoint"
        model = "./odd name"
        endpoint = {base_url = "http://127.0.0.1:1/v1"}
        [models.student]
        model = "Qwen/Qwen2.5-7B"
        """
    )
    plan = draft_plan(load_recipe(str(path)))
    assert stored(plan)["problems"] == ["openai/gsm8k:main:train", "nano:train"]
    assert stored(plan)["models"]["student"]["model"] == "Qwen/Qwen2.5-7B"
    assert stored(plan)["models"]["teacher"]["model"] == "./odd name"


def test_an_adapter_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "mine.toml"
    path.parent.mkdir()
    path.write_text(
        """
        name = "mine"
        stages = ["score"]
        [models.student]
        engine = "vllm"
        model = "Qwen/Qwen2.5-7B"
        vllm = {lora = "adapter"}
        """
    )
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe("deep/mine.toml")
    assert recipe.models.student.for_vllm.lora == "deep/adapter"


def test_a_file_that_is_not_there_is_named_as_it_is_looked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    (folder / "data/train.jsonl").unlink()
    code, out, err = litecot("run", "recipes/mine.toml", "--plan", "--corpus", folder / "corpus")
    assert (code, out) == (2, "")
    assert "no such file: recipes/data/train.jsonl" in err


# --- the same file, however it is named


def test_two_spellings_of_a_file_are_one_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = folder / "data"
    monkeypatch.chdir(data)
    (data / "link.jsonl").symlink_to("train.jsonl")
    (folder / "linked").symlink_to("data")
    spelt = ["train.jsonl", "./train.jsonl", "../data/train.jsonl", str(data / "train.jsonl"),
             "link.jsonl", "../linked/train.jsonl"]  # fmt: skip
    plans = [
        draft_plan(
            load_recipe(
                "../mine.toml", problems=[name], overrides=[f'evaluate.problems=["{name}"]']
            )
        )
        for name in spelt
    ]
    assert len({plan.run_id for plan in plans}) == 1
    assert len({str(plan.fingerprints) for plan in plans}) == 1


def test_other_words_in_a_file_are_another_run(folder: Path) -> None:
    before = draft_plan(load_recipe(str(folder / "mine.toml")))
    (folder / "data/train.jsonl").write_text(PROBLEM.format(7))
    after = draft_plan(load_recipe(str(folder / "mine.toml")))
    assert after.run_id != before.run_id
    assert after.fingerprints["ingest"] != before.fingerprints["ingest"]
    assert after.fingerprints["generate"] == before.fingerprints["generate"]


def test_a_copy_of_a_file_has_its_rows(folder: Path) -> None:
    recipe = str(folder / "mine.toml")
    copy = folder / "copy.jsonl"
    copy.write_bytes((folder / "data/train.jsonl").read_bytes())
    names = [str(folder / "data/train.jsonl")], [str(copy)]
    one, other = (draft_plan(load_recipe(recipe, problems=name)) for name in names)
    assert one.fingerprints == other.fingerprints


def hashed_as_before(recipe: Recipe) -> Mapping[str, str]:
    """{name as written: its file's hash, or the name}: what corpora of nano and hub ids have."""
    hashes = input_hashes(recipe)
    names = (*recipe.problems, *recipe.held_out())
    return {name: hashes.get(name, name) for name in names}


@pytest.mark.parametrize(
    "problems", [["nano:train"], ["openai/gsm8k"], ["nano:train", "openai/gsm8k:main:train"]]
)
def test_ours_and_hub_ids_are_hashed_as_before(problems: list[str]) -> None:
    recipe = load_recipe("nano", problems=problems)
    assert input_files(recipe, input_hashes(recipe)) == hashed_as_before(recipe)
    later = {"options": True, "turns": True, "system": True, "columns": {"options", "family"}}
    source = recipe.source.model_dump(mode="json", exclude=later)
    expected = content_id(hashed_as_before(recipe), source, recipe.hygiene.model_dump(mode="json"))
    assert draft_plan(recipe).fingerprints["ingest"] == expected


def test_nano_is_the_run_it_was() -> None:
    plan = draft_plan(load_recipe("nano"))
    assert (plan.fingerprints["ingest"], plan.run_id) == (NANO_INGEST, NANO_RUN)
