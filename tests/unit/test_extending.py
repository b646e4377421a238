"""docs/extending.md without a run: its names, its examples, and what an edit makes anew."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import litecot
import pytest

import tasks.scorers
from flows.recipes.extensions import plugins_in_use
from flows.recipes.loading import load_recipe
from flows.recipes.plan import draft_plan
from flows.recipes.recipe import RecipeError
from sql.database import connect
from tasks import plugins
from tasks.registry import REGISTRIES, Registry
from tasks.scorers.scorer import Scorer
from tests.extending import DOCS, PLUGINS, examples, write_examples

BEHIND = {
    "expected.py": {"score", "select", "mix"},
    "to_share.py": {"compress", "score", "select", "mix"},
    "retell.py": {"retell", "compress", "score", "select", "mix"},
    "retell.jinja": {"retell", "compress", "score", "select", "mix"},
    "ask.jinja": {"generate", "retell", "compress", "score", "select", "mix"},
    "solver.py": {"generate", "retell", "compress", "score", "select", "mix"},
    "dial.py": {"generate", "retell", "compress", "score", "select", "mix"},
}


@pytest.fixture
def recipe(tmp_path: Path, forgotten: None) -> Path:
    """The recipe of the document beside its files."""
    return write_examples(tmp_path)


def test_the_table_of_names_is_what_litecot_exports() -> None:
    names = (DOCS / "extending.md").read_text(encoding="utf-8").partition("## Names")[2]
    told = re.findall(r"`(\w+)`", names.partition("|---|---|")[2])
    assert told == litecot.__all__


@pytest.mark.parametrize("name", PLUGINS)
def test_an_example_is_short_and_imports_from_litecot_alone(name: str) -> None:
    text = examples()[name]
    assert len(text.splitlines()) < 60
    roots = set(re.findall(r"^(?:from|import) (\w+)", text, re.M))
    assert "litecot" in roots
    assert not roots & {"tasks", "infra", "flows", "sql"}


def test_every_example_is_told_as_in_use(recipe: Path) -> None:
    made = load_recipe(str(recipe))
    assert set(plugins_in_use(made)) == {f"{what} (./{file})" for file, what in PLUGINS.items()}


@pytest.mark.parametrize("edited", BEHIND)
def test_an_edit_makes_what_uses_it_anew_and_no_more(recipe: Path, edited: str) -> None:
    before = draft_plan(load_recipe(str(recipe))).fingerprints
    path = recipe.parent / edited
    path.write_text(path.read_text() + ("Briefly.\n" if edited.endswith("jinja") else "# 1\n"))
    after = draft_plan(load_recipe(str(recipe))).fingerprints
    assert {stage for stage in before if before[stage] != after[stage]} == BEHIND[edited]


def test_the_folder_is_in_no_fingerprint(recipe: Path, tmp_path: Path) -> None:
    before = draft_plan(load_recipe(str(recipe)))
    plugins._loaded.clear()
    for registry in REGISTRIES:
        for name in PLUGINS:
            registry.remove(str(recipe.parent / name))
    (tmp_path / "elsewhere").mkdir()
    after = draft_plan(load_recipe(str(write_examples(tmp_path / "elsewhere"))))
    assert (after.run_id, after.fingerprints) == (before.run_id, before.fingerprints)
    assert str(tmp_path) not in after.resolved


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ('score.kinds=["retolt"]', "stage 'score': no stage makes chains of kind 'retolt'"),
        ('stages=["generate", "compress"]', "'compress' reads chains of kind 'retold'.*'retell'"),
        ('stages=["generate", "score"]', r"'score' reads .* 'retold'.*: add the stage 'retell'$"),
        ('select.original_kinds=["compressed"]', "set select.with_compressed = true"),
        ('stages=["retell", "generate"]', "in this order: generate, retell, verify"),
    ],
)
def test_a_kind_that_nobody_makes_is_one_line(recipe: Path, override: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        load_recipe(str(recipe), overrides=[override])


def test_the_query_of_the_stage_has_the_fields_of_its_record(recipe: Path) -> None:
    stage = draft_plan(load_recipe(str(recipe))).stages["retell"].stage
    with connect({}) as database:
        columns = database.run(stage.query).columns
    assert set(columns) == set(stage.record.__dataclass_fields__)


def test_a_file_may_be_loaded_before_anything_else_is(tmp_path: Path) -> None:
    write_examples(tmp_path)
    code = "from tasks.plugins import load_plugins\nprint(load_plugins(['retell.py']))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "['stage retell']\n", done.stderr


def test_a_scorer_of_ours_is_one_file(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.scorers, "__path__", [*tasks.scorers.__path__, str(tmp_path / "in")])
    (tmp_path / "in").mkdir()
    (recipe.parent / "expected.py").rename(tmp_path / "in" / "expected.py")
    registry = Registry("test", Scorer, folder="tasks.scorers", group="litecot.tests")
    try:
        assert registry["expected"].better == "higher"
        assert registry.entry("expected").origin == "built-in"
    finally:
        REGISTRIES.remove(registry)
        sys.modules.pop("tasks.scorers.expected", None)
