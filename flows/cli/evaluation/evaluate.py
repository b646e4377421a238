"""`litecot evaluate`: any model on any benchmark, without a recipe that makes data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli import tab
from flows.cli.options import DEFAULT_CORPUS, CorpusOption, SeedOption, clear_errors
from tasks.errors import UsageError

if TYPE_CHECKING:
    pass

Asked = Literal["auto", "both", "plain", "compress"]


def evaluate(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL...",
            help="A student's id or its start, a folder, a hub id, nano:student, or a server's "
            "model: http://host:8000/v1#NAME.",
            autocompletion=tab.models,
        ),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            "--on",
            help="Benchmarks, comma-separated: names (no MODEL: they are listed), files, hub ids.",
        ),
    ] = None,
    corpus: CorpusOption = DEFAULT_CORPUS,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Answers a question and prompt; default 1.")
    ] = None,
    compress: Annotated[
        Asked, typer.Option(help="Prompts: with <compress>, plain or both; auto: as it was taught.")
    ] = "auto",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N questions.")] = None,
    seed: SeedOption = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="E.g. evaluate.temperature=0, models.student.engine=vllm."),
    ] = None,
) -> None:
    """Evaluate models on benchmarks; every answer is a row. Run it again to resume.

    All models are asked alike: with the sampling and prompt of --set, else of the recipe that
    trained the first of them, else of the recipe `evaluate`. More samples, or more benchmarks,
    later: only what is new is asked. A start: litecot evaluate nano:student --on nano
    """
    from flows.cli.evaluation.started import launch_evaluation, print_benchmarks

    with clear_errors(corpus):
        if not models:
            if on:
                raise UsageError("--on: of which MODEL? litecot evaluate nano:student --on nano")
            print_benchmarks()
            return
        launch_evaluation(
            models, on or (), corpus=corpus, samples=samples, compress=compress, limit=limit,
            seed=seed, overrides=overrides or (),
        )  # fmt: skip
