"""`litecot try`: one question, answered plain and with `<compress>`.

Invariant: importing this loads nothing heavy; what a model wrote is printed as text.

A sample: `litecot try nano:student "Today is Monday. 1) later 2 Which day is it then?"`
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli import tab
from flows.cli.options import DEFAULT_CORPUS, CorpusOption, SeedOption, clear_errors
from tasks.errors import UsageError

if TYPE_CHECKING:
    from flows.evaluations.trial import Answered, Asked
    from flows.recipes.recipe import Recipe

MAX_TOKENS = 2048  # of a model that brings no evaluation of its own
NAMES = {False: "plain", True: "with <compress>"}


def try_(
    model: Annotated[
        str,
        typer.Argument(
            help="A student's id or its start, a folder, a hub id, nano:student, or a server's "
            "model: http://host:8000/v1#NAME.",
            autocompletion=tab.models,
        ),
    ],
    question: Annotated[str, typer.Argument(help="The question; - reads it from stdin.")],
    corpus: CorpusOption = DEFAULT_CORPUS,
    answer: Annotated[
        str | None, typer.Option(help="The gold answer: what the model states is compared with it.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Limit of an answer; default: its evaluation's.")
    ] = None,
    seed: SeedOption = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="E.g. evaluate.temperature=0, evaluate.prompt=nano."),
    ] = None,
) -> None:
    """Ask a model one question, plain and with <compress>: texts, tokens, seconds, answers.

    Prompt, sampling and engine are those of its evaluation. Nothing is stored.
    A start: litecot try nano:student "Today is Monday. 1) later 2 Which day is it then?"
    """
    from flows.evaluations.trial import try_model
    from flows.recipes.secrets import load_secrets

    with clear_errors(corpus):
        asked_text = sys.stdin.read() if question == "-" else question
        if not asked_text.strip():
            raise UsageError("the question is empty")
        recipe = _recipe(model, corpus, max_tokens=max_tokens, seed=seed, given=overrides or ())
        asked = _asked(recipe, asked_text.strip(), answer)
        _print(recipe, asked, try_model(recipe.models.student, asked, secrets=load_secrets(recipe)))


def _recipe(
    named: str, corpus: str, *, max_tokens: int | None, seed: int | None, given: Sequence[str]
) -> Recipe:
    """The recipe by which `litecot evaluate` would ask the model."""
    from flows.cli.readers import open_corpus
    from flows.recipes.evaluated import RECIPE, find_model, overrides
    from flows.recipes.loading import load_recipe
    from infra.storage import Corpus

    opening = open_corpus(corpus) if Corpus(corpus).exists else nullcontext()
    with opening as database:
        found = find_model(named, corpus, database)
    settings: dict[str, Any] = {"max_tokens": MAX_TOKENS, **found.asked}
    if max_tokens is not None:
        settings["max_tokens"] = max_tokens
    changes = overrides(found, benchmarks=("nano",), asked=settings, given=given)  # asks none
    return load_recipe(RECIPE, overrides=changes, seed=seed)


def _asked(recipe: Recipe, question: str, gold: str | None) -> Asked:
    from flows.evaluations.trial import Asked
    from tasks.evaluate import BASE
    from tasks.ports import Sampling
    from tasks.stage import derive_seed

    config = recipe.evaluate
    return Asked(
        question=question,
        prompt=BASE.load_prompts(config)["generate"],
        sampling=Sampling(
            temperature=config.temperature, top_p=config.top_p, max_tokens=config.max_tokens,
            seed=derive_seed(recipe.seed, "try", question),
        ),
        gold=gold,
    )  # fmt: skip


def _print(recipe: Recipe, asked: Asked, told: Sequence[Answered]) -> None:
    from flows.progress.text import say

    config, sampling = recipe.models.student, asked.sampling
    name = recipe.evaluate.name or config.model
    say(
        f"{name}: engine {config.engine}, prompt {asked.prompt.name}, temperature "
        f"{sampling.temperature:g}, top_p {sampling.top_p:g}, at most {sampling.max_tokens} tokens"
    )
    for one in told:
        say()
        say(f"{NAMES[one.compress]}: {words_of(one)}")
        if one.completion is not None:
            say(one.completion.text.strip("\n"))
    plain, short = (one.completion for one in told)
    if plain is not None and short is not None and plain.completion_tokens:
        share = short.completion_tokens / plain.completion_tokens
        say()
        say(f"<compress> wrote {share:.0%} of the tokens of the plain answer")


def words_of(one: Answered) -> str:
    """Tokens, seconds, and what is stated; or why there is nothing."""
    done = one.completion
    if done is None:
        return f"not asked: {one.refusal}"
    told = f"{done.completion_tokens} tokens in {done.latency_s:.2f} s"
    if done.finish_reason == "length":
        told += ", cut off at the limit"
    stated: Any = one.stated
    if stated is None or stated.extracted_answer is None:
        return f"{told}, no answer found"
    how = _HOW.get(stated.stated_as or "", "")
    told += f", answer {stated.extracted_answer}{how}"
    return told if stated.verdict == "unverifiable" else f"{told}: {stated.verdict}"


_HOW: Mapping[str, str] = {"closing_line": " (guessed from its last line)"}
