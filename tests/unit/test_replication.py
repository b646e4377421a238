"""The replication: its design is sound, equal budgets are equal, verdicts follow from rows."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from itertools import product
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from flows.recipes.plan import draft_plan
from flows.recipes.recipe import Recipe
from flows.replication.design import (
    FILE,
    PAPERS,
    Asked,
    Budget,
    Claim,
    Design,
    Variant,
    papers_of,
    read_design,
)
from flows.replication.page import page_text
from flows.replication.results import Results, Student
from flows.replication.verdicts import Decided, decide
from flows.session import Order, resolve_recipe
from infra.training.data import ExampleOrder
from tasks.errors import UsageError

VARIANTS = Asked(num_seeds=2).variants()
RECIPES = {variant: resolve_recipe(variant.order) for variant in VARIANTS}


def recipes(arm: str, budget: Budget = "steps") -> list[Recipe]:
    return [r for v, r in RECIPES.items() if (v.arm, v.budget) == (arm, budget)]


# --- the design


def test_every_arm_is_a_recipe_that_trains_and_evaluates() -> None:
    design = read_design()
    assert {variant.arm for variant in VARIANTS} == set(design.arms)
    for recipe in RECIPES.values():
        assert recipe.stages[-4:] == ("mix", "measure", "train", "evaluate")
        assert recipe.problems == ("nano:train",)
        assert recipe.limit == design.common["limit"]


def test_every_arm_is_in_a_claim_or_the_raw_one_of_its_paper() -> None:
    design = read_design()
    in_claims = {name for claim in design.claims for name in (claim.a, claim.b)}
    assert set(design.arms) == in_claims
    for paper in PAPERS:
        assert any(claim.b in ("raw", "all") for claim in design.claims_of([paper]))


def test_arms_differ_in_their_examples_and_seeds_in_everything() -> None:
    """But for those that differ in what they are taught, not in what is chosen."""
    made = defaultdict(set)
    for variant, recipe in RECIPES.items():
        prints = draft_plan(recipe).fingerprints
        made[prints["mix"]].add((variant.arm, variant.seed))
        made[prints["train"]].add((variant.arm, variant.budget, variant.seed))
    assert all(len(arms) == 1 for arms in made.values())


@pytest.mark.parametrize(
    ("stage", "num"), [("generate", 1), ("score", 1), ("difficulty", 2), ("rewrite", 3)]
)
def test_what_arms_share_is_made_once_a_seed(stage: str, num: int) -> None:
    prints = {r.seed: set() for r in RECIPES.values()}  # type: ignore[var-annotated]
    for recipe in RECIPES.values():
        if stage in recipe.stages:
            prints[recipe.seed].add(draft_plan(recipe).fingerprints[stage])
    assert [len(found) for found in prints.values()] == [num, num]


def test_arms_are_what_they_are_called() -> None:
    (short, _), (drawn, _), (alone, _) = map(recipes, ("short", "drawn", "alone"))
    assert short.rewrite.level == "easy"
    assert drawn.difficulty.signal == "random"
    assert (alone.select.original_kinds, alone.select.with_compressed) == ((), True)
    for arm, filters in {
        "all": (), "no-accuracy": ("diversity", "difficulty"),
        "no-diversity": ("accuracy", "difficulty"), "no-difficulty": ("accuracy", "diversity"),
        "rd-lowest": ("accuracy", "diversity", "difficulty"),
    }.items():  # fmt: skip
        assert recipes(arm)[0].select.filters == filters
    assert recipes("rd-highest")[0].select.worst_first


@pytest.mark.parametrize(
    "change",
    [
        {"arms": {}},
        {"claims": [{"paper": "macc", "section": "s", "words": "w", "a": "raw", "b": "short",
                     "metric": "accuracy", "direction": "more"}]},
        {"claims": [{"paper": "macc", "section": "s", "words": "w", "a": "raw", "b": "levels",
                     "metric": "speed", "direction": "more"}]},
    ],
)  # fmt: skip
def test_a_claim_about_arms_or_metrics_that_are_not_there_is_refused(change: Any) -> None:
    design = tomllib.loads(FILE.read_text(encoding="utf-8"))
    with pytest.raises(ValidationError):
        Design.model_validate({**design, **change})


def test_papers_and_arms_are_asked_for_by_name() -> None:
    assert papers_of("morsd, litecot") == ("litecot", "morsd")
    assert {v.arm for v in Asked(arms=("raw", "all")).variants()} == {"raw", "all"}
    assert {v.arm for v in Asked(papers=("macc",)).variants()} >= {"raw", "levels", "rebound"}
    for wrong in ("", "litecott"):
        with pytest.raises(UsageError, match="there are litecot, macc, morsd"):
            papers_of(wrong)
    with pytest.raises(UsageError, match="--seeds 9: the design has 5"):
        Asked(num_seeds=9).variants()
    with pytest.raises(UsageError, match="--arms roow"):
        Asked(arms=("roow",)).variants()


# --- equal budgets


def test_equal_steps_are_equal_and_equal_tokens_too() -> None:
    """Whatever the examples' lengths: each arm is given as many tokens, to less than a step."""
    steps = {recipe.train.max_steps for v, recipe in RECIPES.items() if v.budget == "steps"}
    tokens = {recipe.train.max_tokens for v, recipe in RECIPES.items() if v.budget == "tokens"}
    sizes = {(r.train.batch_size, r.train.held_out_examples) for r in RECIPES.values()}
    assert (len(steps), len(tokens), len(sizes)) == (1, 1, 1)
    (wanted,), ((size, _),) = tokens, sizes
    assert wanted is not None
    for longest, count in product((40, 260), (60, 200, 801)):
        lengths = [20 + n * longest // count for n in range(count)]
        order = ExampleOrder(lengths, size, seed=1, group_by_length=True)
        last = order.steps_for(wanted)
        assert order.tokens_until(last - 1) < wanted <= order.tokens_until(last)


def test_a_pilot_may_change_a_budget_without_touching_the_other() -> None:
    pilot = Asked(
        arms=("raw",), num_seeds=1, limit=8,
        overrides=("train.max_steps=2", "train.max_tokens=99"),
    )  # fmt: skip
    steps, tokens = (resolve_recipe(variant.order) for variant in pilot.variants())
    assert (steps.limit, steps.train.max_steps, steps.train.max_tokens) == (8, 2, None)
    assert (tokens.train.max_steps, tokens.train.max_tokens) == (None, 99)


# --- verdicts, of rows made up


def student(arm: str, *, accuracy: float, tokens: float, seed: int, compress: bool) -> Student:
    """Of 200 questions it answers a share, drawn: which of them, its seed says."""
    rng = np.random.default_rng([seed, len(arm), round(1000 * accuracy)])
    answers = [
        {
            "role": "trained", "compress": compress, "problem_id": f"p{n}", "family": f"p{n}",
            "level": ("easy", "medium", "hard")[n % 3], "num_samples": 1,
            "num_correct": int(rng.random() < accuracy), "mean_tokens": tokens + rng.normal(0, 5),
            "num_cut_off": 0, "mean_seconds": 1.0,
        }
        for n in range(200)
    ]  # fmt: skip
    trained = {"num_examples": 100, "num_problems": 50, "num_easy": 40, "num_medium": 9,
               "num_hard": 1, "num_steps": 4, "train_tokens": 900}  # fmt: skip
    variant = Variant(arm=arm, budget="steps", seed=seed, order=Order(seed=seed))
    return Student(variant=variant, answers=answers, base=[], trained=trained)


def claim(metric: str, direction: str, **more: Any) -> Claim:
    return Claim.model_validate(
        {"paper": "litecot", "section": "s", "words": "w", "a": "levels", "b": "raw",
         "metric": metric, "direction": direction, **more}
    )  # fmt: skip


def decided(
    asked: Claim, *, a: tuple[float, float], b: tuple[float, float], seeds: int = 5
) -> Decided:
    """`a`, `b`: accuracy and tokens of the two arms."""
    students = [
        student(arm, accuracy=accuracy, tokens=tokens, seed=seed, compress=compress)
        for seed in range(seeds)
        for arm, (accuracy, tokens), compress in (
            (asked.a, a, asked.a_compress), (asked.b, b, asked.b_compress)
        )
    ]  # fmt: skip
    return decide(read_design(), [asked], Results(students=students))[0]


@pytest.mark.parametrize(
    ("metric", "direction", "a", "b", "word"),
    [
        ("accuracy", "more", (0.8, 60), (0.5, 60), "holds"),
        ("accuracy", "more", (0.5, 60), (0.8, 60), "does not hold"),
        ("accuracy", "more", (0.52, 60), (0.5, 60), "undecided"),
        ("accuracy", "less", (0.5, 60), (0.8, 60), "holds"),
        ("tokens", "less", (0.5, 40), (0.5, 80), "holds"),
        ("tokens", "less", (0.5, 80), (0.5, 40), "does not hold"),
        ("tokens", "less", (0.5, 60), (0.5, 60.1), "does not hold"),  # shown to be as long
    ],
)
def test_a_verdict_follows_from_the_answers(
    metric: str, direction: str, a: tuple[float, float], b: tuple[float, float], word: str
) -> None:
    found = decided(claim(metric, direction), a=a, b=b)
    assert found.word == word
    assert found.effect is not None
    assert found.interval is not None
    assert found.interval[0] <= found.effect <= found.interval[1]


def test_a_difference_says_how_large_it_is_and_how_many_seeds_show_it() -> None:
    found = decided(claim("accuracy", "more", a_compress=True), a=(0.9, 40), b=(0.4, 80))
    assert found.effect == pytest.approx(0.5, abs=0.06)
    assert (found.seeds_for, found.num_seeds) == (5, 5)


def test_a_level_is_looked_at_alone() -> None:
    found = decided(claim("accuracy", "more", level="hard"), a=(0.9, 40), b=(0.4, 80))
    assert found.comparison is not None
    assert len(found.comparison.first) == 66


def test_what_was_not_run_is_said_to_be_so() -> None:
    only = [student("levels", accuracy=0.5, tokens=9, seed=0, compress=False)]
    (found,) = decide(read_design(), [claim("accuracy", "more")], Results(students=only))[:1]
    assert (found.word, found.effect, found.interval) == ("not run", None, None)


def test_a_page_of_less_than_everything_says_so_first() -> None:
    design, results = read_design(), Results(
        students=[student("raw", accuracy=0.5, tokens=9, seed=1, compress=False)],
        missing=["levels steps 1"],
    )  # fmt: skip
    asked = Asked(papers=("litecot",), num_seeds=1, limit=24)
    made = decide(design, design.claims_of(asked.papers), results)
    text = page_text(asked, design, results, made, plots={})
    assert "**This is a pilot, not the replication**: 1 of its 2 students are done" in text
    assert "24 problems" in text
    assert "| `raw`: raw long chains, the shortest correct one of a problem | steps |" in text
    assert "| 100 | 50 (40, 9, 1) | 4 | 900 |" in text
    assert "of one seed alone nothing is known of others" in text
    assert "with `<compress>`" not in text


def test_a_page_of_the_design_names_the_students_that_it_lacks() -> None:
    """It is no pilot, whose numbers would say nothing; a claim rests on seeds that have both."""
    design, asked = read_design(), Asked(corpus="elsewhere")
    arms = [("levels", 1), ("levels", 2), ("raw", 1)]
    results = Results(missing=["raw steps 2"], students=[
        student(arm, accuracy=0.5, tokens=9, seed=seed, compress=False) for arm, seed in arms
    ])  # fmt: skip
    made = decide(design, design.claims_of(asked.papers), results)
    text = page_text(asked, design, results, made, plots={})
    assert "not the whole replication**: 3 of its 4 students are done" in text
    assert "done, without `raw steps 2`." in text
    assert "pilot" not in text
    assert {one.num_seeds for one in made if one.word != "not run"} == {1}
    results.missing.clear()
    assert "not the whole" not in page_text(asked, design, results, made, plots={})


def test_a_page_shows_the_mark_where_claims_are_of_it() -> None:
    """As Markdown: a bare `<compress>` would be a tag that a reader does not see."""
    design, asked = read_design(), Asked(papers=("macc",))
    results = Results(students=[
        student(arm, accuracy=0.5, tokens=9, seed=seed, compress=True)
        for arm in ("rebound", "unmarked", "alone")
        for seed in (1, 2)
    ])  # fmt: skip
    text = page_text(asked, design, results, decide(design, design.claims_of(["macc"]), results),
                     plots={})  # fmt: skip
    assert "| steps | rebound `<compress>` / alone `<compress>` |" in text
    assert "| steps | with `<compress>` |" in text
    assert "with Student's t of the seeds less one." in text
    assert "<compress>" not in text.replace("`<compress>`", "")


def test_what_one_seed_does_to_a_student_is_no_claim_about_its_method() -> None:
    """Under each seed the arms differ widely, now so, now so: by question alone, a proof."""
    students = [
        student(arm, accuracy=accuracy, tokens=9, seed=seed, compress=False)
        for seed, (a, b) in enumerate([(0.9, 0.4), (0.4, 0.6), (0.9, 0.5), (0.5, 0.7), (0.8, 0.4)])
        for arm, accuracy in (("levels", a), ("raw", b))
    ]
    (found, *_) = decide(read_design(), [claim("accuracy", "more")], Results(students=students))
    assert found.effect == pytest.approx(0.18, abs=0.05)
    assert (found.word, found.seeds_for) == ("undecided", 3)
