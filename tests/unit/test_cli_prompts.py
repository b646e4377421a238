"""`litecot prompts` and `litecot recipes show`: files to start from, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from flows.cli.prompts import settings_of
from flows.recipes.loading import load_recipe, shipped_recipes
from flows.recipes.plan import draft_plan
from tasks.prompts import FOLDER, steps, variants
from tests.unit.test_cli_unit import litecot, refusal
from tests.unit.test_recipes import save_model

RUNNER = CliRunner()
SHIPPED = sorted(path.stem.split("__", 1) for path in FOLDER.glob("*.jinja"))


def printed(*arguments: str) -> bytes:
    """Standard output as bytes."""
    done = RUNNER.invoke(app, arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout_bytes


def test_prompts_are_listed_with_the_settings_that_name_them() -> None:
    code, out, _ = litecot("prompts")
    assert code == 0
    for step in steps():
        for word in (step, *variants(step), settings_of(step)[0]):
            assert word in out
    assert settings_of("generate") == [
        "generate.prompt", "score.prompt", "mix.prompt", "evaluate.prompt",
    ]  # fmt: skip
    assert settings_of("verify") == ["rewrite.check_prompt"]


@pytest.mark.parametrize(("step", "variant"), SHIPPED)
def test_a_prompt_is_printed_byte_for_byte(step: str, variant: str) -> None:
    expected = (FOLDER / f"{step}__{variant}.jinja").read_bytes()
    assert printed("prompts", "show", step, variant) == expected


def test_a_step_alone_shows_the_variant_to_start_from() -> None:
    assert printed("prompts", "show", "rewrite") == printed(
        "prompts", "show", "rewrite", "instruct"
    )
    assert printed("prompts", "show", "generate") == printed(
        "prompts", "show", "generate", "default"
    )


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_a_recipe_is_printed_byte_for_byte(name: str, tmp_path: Path) -> None:
    copy = tmp_path / "mine.toml"
    copy.write_bytes(printed("recipes", "show", name))
    assert copy.read_bytes() == shipped_recipes()[name].read_bytes()
    assert draft_plan(load_recipe(str(copy))).run_id == draft_plan(load_recipe(name)).run_id


def test_recipes_without_more_are_listed() -> None:
    code, out, _ = litecot("recipes")
    assert code == 0
    assert all(name in out for name in shipped_recipes())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["prompts", "show", "rewrit"], "no step 'rewrit': did you mean 'rewrite'?"),
        (["prompts", "show", "poem"],
         "no step 'poem': there are compress, generate, judge, rewrite, verify"),
        (["prompts", "show", "rewrite", "instrukt"],
         "no prompt 'instrukt' for step 'rewrite': did you mean 'instruct'?"),
        (["prompts", "show", "generate", "instruct"],
         "no prompt 'instruct' for step 'generate': there are default, nano"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_one_line_with_those_near_it(arguments: list[str], line: str) -> None:
    assert refusal(*arguments) == f"litecot: {line} (`litecot prompts` lists all)\n"


def test_an_unknown_recipe_is_one_line_with_those_near_it() -> None:
    line = "no recipe 'nanno': did you mean 'nano'? (`litecot recipes` lists all)"
    assert refusal("recipes", "show", "nanno") == f"litecot: {line}\n"


@pytest.mark.parametrize("plan", [["--plan"], []])
def test_a_prompt_that_cannot_work_is_refused_before_anything_starts(
    tmp_path: Path, plan: list[str]
) -> None:
    path = tmp_path / "mine.jinja"
    path.write_text("{{ question }}\n{{ solution }}\n")
    model = f"models.student.model={save_model(tmp_path / 'student')}"
    line = refusal(
        "run", "nano", "--set", model, "--set", f"generate.prompt={path}",
        "--corpus", tmp_path / "corpus", *plan,
    )  # fmt: skip
    assert line == (
        f"litecot: generate.prompt: {path}:2: {{{{ solution }}}} is not given; this step gives "
        "question\n"
    )
    assert not (tmp_path / "corpus").exists()


def test_a_plan_says_what_the_model_will_not_see(tmp_path: Path) -> None:
    path = tmp_path / "mine.jinja"
    path.write_text("{{ rationale }}\n")
    code, out, _ = litecot(
        "run", "nano", "--set", f"rewrite.prompt={path}", "--plan", "--corpus", tmp_path / "corpus"
    )
    assert code == 0
    assert "has no {{ question }}: the model will not see it" in " ".join(out.split())
