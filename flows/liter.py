"""The whole line: problems go in, a small fast reasoning model comes out."""

from __future__ import annotations

from prefect import flow

from flows.corpus import corpus as corpus_flow
from flows.evaluate import evaluate as evaluate_flow
from flows.report import Report, make_report, publish_report
from flows.session import Order, open_session
from flows.train import train as train_flow


@flow(name="liter", flow_run_name="liter {recipe}")
async def liter(
    recipe: str = "nano",
    corpus: str = "corpus",
    problems: list[str] | None = None,
    rationales: list[str] | None = None,
    limit: int | None = None,
    seed: int | None = None,
    overrides: list[str] | None = None,
) -> Report:
    """Corpus, training and evaluation of a recipe; what is done already is not done again."""
    order = Order.of(locals())
    with open_session(order) as opened:
        await corpus_flow(**order.parameters())
        if "train" in opened.recipe.stages:
            await train_flow(**order.parameters())
        if "evaluate" in opened.recipe.stages:
            await evaluate_flow(**order.parameters())
        report = make_report(opened)
        await publish_report(report)
    return report
