"""The whole line: problems go in, a small fast reasoning model comes out."""

from __future__ import annotations

from prefect import flow, get_run_logger

from flows.corpus import corpus as corpus_flow
from flows.evaluate import evaluate as evaluate_flow
from flows.flow_runs import TOLD
from flows.forecast import tell_forecast, tell_truth
from flows.report import Report, make_report, publish_report, with_page
from flows.session import DEFAULT, Order
from flows.train import train as train_flow
from flows.turns import in_turn


@flow(name="liter", flow_run_name="liter {order.title}", **TOLD)
async def liter(order: Order = DEFAULT) -> Report:
    """Corpus, training and evaluation of a recipe; what is done already is not done again.

    Before training the student is forecast from those evaluated before, afterwards compared.
    """
    async with in_turn(order) as opened:
        await corpus_flow.fn(order)
        if "train" in opened.recipe.stages:
            await tell_forecast(order)
            await train_flow.fn(order)
        if "evaluate" in opened.recipe.stages:
            await evaluate_flow.fn(order)
            await tell_truth(order)
        report = make_report(opened)
        for row in report.rejections:
            get_run_logger().warning(
                "%s rejected: %s (%s)", row["num_records"], row["reason"], row["stage"]
            )
        await publish_report(report)
        run_id = opened.run.run_id
    return await with_page(report, run_id)
