"""What a person calls a model, and how it is then asked."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flows.recipes.evaluated import (
    EvaluatedModel,
    asks_compress,
    check_benchmarks,
    find_model,
    overrides,
)
from flows.recipes.loading import load_recipe
from flows.recipes.plan import draft_plan
from infra.engines import EngineConfig, model_name
from infra.nano.files import FOLDER as NANO
from sql.database import Database, connect
from tasks.errors import UsageError
from tests.unit import sample_corpus as sample

STUDENT = NANO / "weights" / "student"


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Database, str]:
    """A corpus with one student, its weights in place, and what it was trained under."""
    folder = tmp_path / "corpus"
    recipe = load_recipe("nano", overrides=["evaluate.max_tokens=77", "evaluate.limit=5"])
    run = sample.Made("run", replace(sample.RUN, settings=recipe.model_dump_json()))
    rows = (run, *(made for made in sample.EVERYTHING if made.row is not sample.RUN))
    parts = sample.write_rows(folder, rows)
    shutil.copytree(STUDENT, folder / "weights" / "m")
    return connect(parts), str(folder)


def test_a_student_is_asked_as_its_recipe_would(trained: tuple[Database, str]) -> None:
    database, corpus = trained
    found = find_model(sample.MODEL.id[:6], corpus, database)
    assert found.name == sample.MODEL.id
    assert Path(found.settings["model"]) == Path(corpus, "weights", "m")
    assert (found.settings["engine"], found.settings["dtype"]) == ("transformers", "float64")
    assert found.asked == {"prompt": "nano", "temperature": 0.0, "top_p": 1.0, "max_tokens": 77}


def test_a_student_of_a_run_that_kept_no_settings_is_asked_by_the_engine_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    parts = sample.write_rows(tmp_path / "corpus", sample.EVERYTHING)
    shutil.copytree(STUDENT, tmp_path / "corpus" / "weights" / "m")
    found = find_model(sample.MODEL.id, str(tmp_path / "corpus"), connect(parts))
    assert found.settings["engine"] == "transformers"
    assert asks_compress(found)


def test_a_student_whose_weights_are_gone_says_so(trained: tuple[Database, str]) -> None:
    database, corpus = trained
    shutil.rmtree(Path(corpus) / "weights" / "m")
    with pytest.raises(UsageError, match=r"the weights of \w+ are not in .*weights/m is gone"):
        find_model(sample.MODEL.id, corpus, database)


@pytest.mark.parametrize(
    ("named", "engine", "model"),
    [
        ("nano:teacher", "transformers", "nano:teacher"),
        ("smollm2", "transformers", "smollm2"),
        ("org/name", "transformers", "org/name"),
        ("./here", "transformers", "./here"),
        ("http://127.0.0.1:8000/v1#qwen/it", "endpoint", "qwen/it"),
    ],
)
def test_models_by_name(
    named: str, engine: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    found = find_model(named, "corpus", None)
    assert (found.settings["engine"], found.settings["model"]) == (engine, model)


def test_nano_models_are_asked_in_their_own_words() -> None:
    assert find_model("nano:student", "corpus", None).asked["prompt"] == "nano"


def test_names_that_are_none(trained: tuple[Database, str]) -> None:
    database, corpus = trained
    with pytest.raises(UsageError, match=r"no model 'studnt'.*this corpus trained .*a hub id"):
        find_model("studnt", corpus, database)
    with pytest.raises(UsageError, match=r"add the server's name of the model: http://h/v1#NAME"):
        find_model("http://h/v1", corpus, database)


def test_changes_are_toml_and_what_a_person_set_wins() -> None:
    model = EvaluatedModel(
        name="qwen",
        settings={"engine": "endpoint", "model": "qué#1", "endpoint": {"base_url": "http://h/v1"}},
    )
    told = overrides(
        model, benchmarks=["aime24"], asked={"temperature": 0.6, "compress": "plain"},
        given=["evaluate.temperature=0", "evaluate.max_tokens=64"],
    )  # fmt: skip
    recipe = load_recipe("evaluate", overrides=told)
    assert recipe.models.student.model == "qué#1"
    assert recipe.models.student.vllm is None
    assert recipe.models.student.endpoint is not None
    assert recipe.evaluate.problems == ("aime24",)
    assert (recipe.evaluate.temperature, recipe.evaluate.max_tokens) == (0, 64)
    (stage,) = draft_plan(recipe).stages.values()
    assert stage.names == {"student": "qwen"}


def test_auto_asks_for_compress_where_the_tokenizer_knows_it(tmp_path: Path) -> None:
    assert asks_compress(find_model("nano:student", "corpus", None))
    assert not asks_compress(find_model("http://h/v1#m", "corpus", None))
    assert not asks_compress(find_model("org/name", "corpus", None))
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": []}))
    plain = EvaluatedModel(name=None, settings={"engine": "vllm", "model": str(tmp_path)})
    assert not asks_compress(plain)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"compress_as_text": True}))
    assert asks_compress(plain)


def test_benchmarks_come_with_commas_or_again_and_once() -> None:
    assert check_benchmarks(["aime24, math500", "aime24"]) == ("aime24", "math500")
    with pytest.raises(UsageError, match=r"--on: name benchmarks, e\.g\. --on aime24,math500"):
        check_benchmarks([" ,"])


def test_a_folder_is_called_by_its_name_and_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "mine").symlink_to(STUDENT)
    (tmp_path / "other").symlink_to(STUDENT)
    names = [model_name(EngineConfig(model=str(tmp_path / name))) for name in ("mine", "other")]
    assert names[0] == names[1]  # one folder under two names
    assert names[0].startswith("student@")
    assert model_name(EngineConfig(model="nano:student")) == "nano:student"
    assert model_name(EngineConfig(model="a/b", revision="r")) == "a/b@r"
