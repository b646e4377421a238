"""`litecot forecast`: which of several training sets is worth training on."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.options import DEFAULT_CORPUS, CorpusOption, SeedOption, clear_errors


def forecast(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECIPE...",
            help="Shipped names or TOML files; none: how well the corpus' students are forecast.",
        ),
    ] = None,
    corpus: CorpusOption = DEFAULT_CORPUS,
    problems: Annotated[
        list[str] | None, typer.Option(help="As `litecot run` was given; repeatable.")
    ] = None,
    rationales: Annotated[
        list[str] | None, typer.Option(help="As `litecot run` was given; repeatable.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first N problems to learn from.")
    ] = None,
    seed: SeedOption = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Of every recipe, e.g. train.epochs=5.")
    ] = None,
    on: Annotated[
        list[str] | None, typer.Option("--on", help="Only these benchmarks, comma-separated.")
    ] = None,
    output: Annotated[str, typer.Option("--format", help="table | csv | json")] = "table",
) -> None:
    """Rank recipes by what their student would come to, before any is trained.

    Their examples have to be in the corpus: `litecot run` makes them. A forecast
    rests on the students that the corpus has trained and evaluated, 8 at least;
    beside it stands how far such forecasts are off. Each is a row of `forecasts`,
    and later one of `forecasts_against_truth`.
    """
    from flows.cli.evaluation.ranked import show_forecasts, show_quality
    from flows.session import Order

    with clear_errors(corpus):
        orders = [
            Order(
                recipe=recipe, corpus=corpus, problems=tuple(problems or ()),
                rationales=tuple(rationales or ()), limit=limit, seed=seed,
                overrides=tuple(overrides or ()),
            )
            for recipe in recipes or ()
        ]  # fmt: skip
        if orders:
            show_forecasts(orders, on=on or (), output=output)
        else:
            show_quality(corpus, overrides=overrides or (), on=on or (), output=output)
