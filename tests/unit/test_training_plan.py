"""`litecot train`: its page of a plan, what it refuses, and what a corpus must hold."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from flows.cli.run.launch import check_examples
from flows.cli.run.training_plan import show_training_plan
from flows.costs.stored import known_examples
from flows.recipes.loading import load_recipe
from flows.recipes.plan import draft_plan
from flows.recipes.recipe import Recipe
from flows.session import Order, Session, resolve_recipe
from flows.train import assert_examples_whole
from infra.runs.run import Run
from infra.settings import load_settings
from infra.storage import CorpusWriter
from tasks.errors import UsageError
from tasks.schemas import Example
from tests.unit.test_cli_unit import litecot, refusal
from tests.unit.test_estimate import begun

PLAN = ("--plan", "--corpus", "no-corpus")


def page(*arguments: str, code: int = 0) -> str:
    """As printed, blanks joined."""
    done, out, err = litecot("train", *arguments, *PLAN)
    assert done == code, err
    return " ".join((out + err).split())


# --- the page


def test_a_plan_says_how_the_batch_is_reached_and_what_it_takes() -> None:
    said = page("liter-7b", "--on", "1x8x80")
    for words in (
        "7.62B parameters, on 1 machine with 8 GPUs of 80 GiB",
        "8 ranks x 4 bins x 8 accumulated = 256 bins of 8192 tokens a step",
        "100,000 examples of 720 tokens, prompt included (assumed: --examples",
        "3 epochs of 71.3M tokens, 213.8M in all; 102 steps, the first 11 warm-up",
        "11 GPU hours, at 989 TFLOP/s x 0.35 (estimate.peak_tflops",
        "zero3 * 8 x 4 x 8 18.0 17.8 46.4 yes, 33.6 free",
        "DeepSpeed's own estimators",
        "Korthikanti et al. 2022",
    ):
        assert words in said
    assert "idle" not in said


def test_idle_gpus_are_said_with_what_would_use_them() -> None:
    said = page("liter-32b", "--on", "2x8x80")
    assert "idle: 8 of 16 GPUs; the same batch on 16, 2.8 hours: " in said
    assert "--set train.num_ranks=16 --set train.zero=zero3" in said
    as_said = page("liter-32b", "--on", "2x8x80", "--set", "train.num_ranks=16", "--set",
                   "train.zero=zero3")  # fmt: skip
    assert "16 ranks x 1 bin x 16 accumulated = 256 bins" in as_said
    assert "time: 2.8 hours" in as_said


def test_a_refusal_comes_after_all_there_is_to_see() -> None:
    said = page("liter-32b", "--on", "1x1x24", code=2)
    assert said.index("ranks x bins x accumulated that reach 256") < said.index(
        "litecot: training wants 8 GPUs"
    )
    assert "with 915 GiB of memory in each machine" in said
    said = page("liter-32b", "--on", "1x8x80+512", code=2)
    assert "8 x 1 x 32 2.9 9.2 21.4 915 no, the machine lacks 363" in said
    assert "915 GiB of memory in each machine, and it has 512 GiB" in said


def test_a_narrow_terminal_cuts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.cli.run.training_plan.page", lambda: Console(width=80))
    said = page("liter-32b", "--on", "16x8x80")
    assert "…" not in said
    assert "zero3-offload 128 x 1 x 2" in said
    assert "no, 78.2 over" in said


def test_what_is_told_of_the_data_goes_before_what_is_assumed() -> None:
    said = page("liter-7b", "--on", "1x8x80", "--examples", "2000", "--tokens-per-example", "500")
    assert "2,000 examples of 500 tokens, prompt included (as told); 200 of them held out" in said


def test_a_recipe_with_problems_is_planned_for_them() -> None:
    assert re.search(r"\d+ examples of \d+ tokens.*estimated from the problems", page("nano"))


def test_a_student_of_unknown_shape_is_not_counted() -> None:
    said = page("liter-7b", "--on", "1x1x24", "--set", "models.student.model=me/unknown")
    assert "memory: not counted, for the shape of me/unknown is not known here" in said


def test_a_plan_of_the_whole_line_has_a_line_of_training() -> None:
    code, out, _ = litecot("run", "liter-7b", "--plan", "--on", "1x8x80")
    assert code == 0
    assert "train: 8 ranks x 4 x 8 accumulated = 256 bins a step, zero3, 46.4 GiB of a GPU" in out
    code, _, err = litecot("run", "liter-32b", "--plan", "--on", "1x8x80+512")
    assert (code, "needs 915 GiB of memory in each machine" in err) == (2, True)


def test_examples_that_may_be_shorter_refuse_no_run() -> None:
    """On CPU the worst micro-batch is counted; bins on GPUs are always full."""
    large = ("--set", "train.per_rank_batch_size=4000", "--on", "1x1x8+16")
    code, out, _ = litecot("run", "nano", "--plan", *large)
    assert (code, "at worst training nano:student under zero2 on CPU needs 2 x " in out) == (
        0,
        True,
    )
    assert "counted is the worst: examples of 512 tokens" in page("nano", *large, code=2)


def test_a_short_training_is_told_in_minutes() -> None:
    said = page("liter-1.5b", "--on", "1x8x80")
    assert "time: 11 minutes on 8 GPUs, 1.4 GPU hours" in said
    assert "about a minute, or less, on 8 GPUs" in page(
        "liter-1.5b", "--on", "1x8x80", "--examples", "100"
    )


# --- refused before anything starts


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["morsd"], "recipe morsd does not train: its stages are verify, score, select, mix"),
        (["nano", "--on", "1x1x8"], "--on, --examples and --tokens-per-example go with --plan"),
        (["nano", "--examples", "5"], "--on, --examples and --tokens-per-example go with --plan"),
        (["nano", "--corpus", "nowhere"], "there is no corpus nowhere, so no examples to train on: "
         "`litecot run nano` with the same options makes them"),
        (["liter-7b", "--corpus", "nowhere"], "no problems: give --problems FILE"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_one_line(arguments: list[str], words: str) -> None:
    assert words in refusal("train", *arguments)


# --- what the corpus has


def with_examples(recipe: Recipe, corpus: Path) -> None:
    """Two examples of 20 and 40 tokens under 30 characters of a prompt; nothing was selected."""
    problems = begun(corpus, recipe)
    plan = draft_plan(recipe)
    with CorpusWriter(corpus) as writer:
        for number, problem in enumerate(problems[:2], start=1):
            example = Example(
                rationale_id=f"r{number}", problem_id=problem, condition="original",
                prompt="p" * 30, completion="c", num_tokens=20 * number,
            )  # fmt: skip
            writer.finish(
                f"r{number}", [example], stage_fingerprint=plan.fingerprints["mix"],
                run_id=plan.run_id,
            )  # fmt: skip
        writer.flush()


def test_the_corpus_examples_go_before_an_estimate(tmp_path: Path) -> None:
    recipe, corpus = resolve_recipe(Order()), tmp_path / "corpus"
    with_examples(recipe, corpus)
    other = resolve_recipe(Order(overrides=("train.epochs=1",)))  # not a stored run, same examples
    for one in (recipe, other):
        assert known_examples(str(corpus), draft_plan(one), one.estimate) == (2, 30 + 30 / 3)
    changed = load_recipe("nano", overrides=["select.max_rd=0.5"])
    assert known_examples(str(corpus), draft_plan(changed), changed.estimate) is None
    out = io.StringIO()
    with redirect_stdout(out):
        show_training_plan(Order(corpus=str(corpus)))
    assert f"2 examples of 40 tokens, prompt included (as {corpus} has them)" in out.getvalue()


def test_a_stage_of_which_nothing_is_there_is_named(tmp_path: Path) -> None:
    recipe, corpus = load_recipe("nano"), str(tmp_path / "corpus")
    begun(Path(corpus), recipe)
    with pytest.raises(UsageError, match="nothing of stage 'rewrite'"):
        check_examples(corpus, recipe, draft_plan(recipe))
    with_examples(recipe, tmp_path / "other")
    check_examples(str(tmp_path / "other"), recipe, draft_plan(recipe))


def test_on_a_part_of_the_examples_nothing_is_trained(tmp_path: Path) -> None:
    """Another student would come of it."""
    recipe = load_recipe("nano")
    with_examples(recipe, tmp_path / "corpus")
    with Run(draft_plan(recipe), corpus=tmp_path / "corpus", settings=load_settings()) as run:
        opened: Any = SimpleNamespace(run=run, order=Order())
        with pytest.raises(UsageError, match="stage 'generate' has 1 record left to do"):
            assert_examples_whole(cast(Session, opened))
