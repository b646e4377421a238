"""The whole line: problems go in, a small fast reasoning model comes out."""

from __future__ import annotations

from prefect import flow

from flows.corpus import corpus as corpus_flow
from flows.evaluate import evaluate as evaluate_flow
from flows.flow_runs import TOLD
from flows.report import Report, make_report, publish_report
from flows.session import DEFAULT, Order, open_session
from flows.train import train as train_flow


@flow(name="liter", flow_run_name="liter {order.recipe}", **TOLD)
async def liter(order: Order = DEFAULT) -> Report:
    """Corpus, training and evaluation of a recipe; what is done already is not done again."""
    with open_session(order) as opened:
        await corpus_flow(order)
        if "train" in opened.recipe.stages:
            await train_flow(order)
        if "evaluate" in opened.recipe.stages:
            await evaluate_flow(order)
        report = make_report(opened)
        await publish_report(report)
    return report
