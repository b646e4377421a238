"""Starts `litecot evaluate`: finds the models, checks everything, runs the flow, shows the table.

Invariant: what can be refused is refused before a server or a model starts, for all models.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext

from rich.table import Table

from flows.cli.evaluation.evaluations import print_evaluated
from flows.cli.readers import open_corpus
from flows.cli.run.launch import check, run_flow
from flows.progress.consoles import page
from flows.progress.text import shown
from flows.recipes.evaluated import (
    RECIPE,
    EvaluatedModel,
    asks_compress,
    benchmark_names,
    benchmark_rows,
    check_benchmarks,
    find_model,
    overrides,
)
from flows.session import Order
from infra.settings import load_settings
from infra.storage import Corpus


def launch_evaluation(
    models: Sequence[str],
    on: Sequence[str],
    *,
    corpus: str,
    samples: int | None,
    compress: str,
    limit: int | None,
    seed: int | None,
    overrides: Sequence[str],
) -> None:
    """Ask them all, then print what they came to. Raises errors of one line."""
    settings = load_settings()
    benchmarks = check_benchmarks(on)
    counts = {"num_samples": samples, "limit": limit}
    found = _find(list(dict.fromkeys(models)), corpus)
    asked = next((dict(one.asked) for one in found if one.asked), {})
    asked |= {key: value for key, value in counts.items() if value is not None}
    orders = [
        _order(one, corpus, benchmarks, asked, compress=compress, seed=seed, given=overrides)
        for one in found
    ]
    checked = [check(order, settings) for order in orders]
    words = [line for _, placement in checked for line in placement.words]

    def flow() -> Callable[[], Awaitable[list[str]]]:
        from flows.evaluate import evaluate_models

        return lambda: evaluate_models(orders, len(orders))

    many = "1 model" if len(orders) == 1 else f"{len(orders)} models"
    names = run_flow(
        f"evaluating {many} on {', '.join(benchmarks)}, corpus {corpus}", settings,
        models=[recipe.models.student for recipe, _ in checked],
        lines=[f"  {line}" for line in dict.fromkeys(words)], flow=flow,
    )  # fmt: skip
    print_evaluated(corpus, set(names), on=benchmark_names(benchmarks))


def _find(named: Sequence[str], corpus: str) -> list[EvaluatedModel]:
    opening = open_corpus(corpus) if Corpus(corpus).exists else nullcontext()
    with opening as database:
        return [find_model(name, corpus, database) for name in named]


def _order(
    model: EvaluatedModel, corpus: str, benchmarks: Sequence[str], asked: dict[str, object], *,
    compress: str, seed: int | None, given: Sequence[str],
) -> Order:  # fmt: skip
    if compress == "auto":
        compress = "both" if asks_compress(model) else "plain"
    told = overrides(
        model, benchmarks=benchmarks, asked={**asked, "compress": compress}, given=given
    )
    return Order(recipe=RECIPE, corpus=corpus, seed=seed, overrides=told)


def print_benchmarks() -> None:
    """Those that ship, and how to bring another."""
    table = Table("name", "what", "licence", "data", header_style="bold")
    for row in benchmark_rows():
        table.add_row(*map(shown, (row["name"], row["title"], row["licence"], row["data"])))
    page().print(table)
    page().print(
        "another: a TOML file like these, --on ./mine.toml (docs/evaluation.md), or a file of"
        " questions, or a hub id"
    )
