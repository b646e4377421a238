"""A recipe's line to its end, and a verdict: the run fails where the student is surely worse.

Role: what a schedule starts once a week (prefect.yaml). Corpus, forecast, training and evaluation
are `liter`'s, so what is done already is not done again; the comparison is `litecot compare`'s.

A sample: weekly(Order(recipe="liter-7b", corpus="s3://litecot/liter-7b"), baseline="base")
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from prefect import flow, get_run_logger, task
from pydantic import Field

from flows.comparison.gate import Judged, judged
from flows.errors import WorseError
from flows.flow_runs import TOLD
from flows.liter import liter
from flows.progress.artifacts import show_markdown
from flows.report import Report
from flows.session import DEFAULT, Order, Session, session
from flows.steps import TASK
from flows.turns import in_turn

ALLOWED = 0.02


@flow(name="weekly", flow_run_name="weekly {order.title}", **TOLD)
async def weekly(
    order: Order = DEFAULT,
    baseline: str = "base",
    allowed: Annotated[float, Field(ge=0, le=1)] = ALLOWED,
) -> Report:
    """Train, evaluate, forecast and compare. Raises WorseError.

    Args:
        order: the recipe and how it differs from the shipped one.
        baseline: what the student is compared with: base, or an evaluated model by its id.
        allowed: the loss of accuracy that does not fail the run: 0.02 is 2 points.
    """
    async with in_turn(order):
        report = await liter.fn(order)
        await compare(order, baseline, allowed)
    return report


@task(name="verdict", task_run_name="compare with {baseline}", **TASK)
async def compare(order: Order, baseline: str, allowed: float) -> None:
    """Say how the trained student compares. Raises WorseError."""
    opened = session(order)
    found = await asyncio.to_thread(_judged, opened, baseline, allowed)
    for line in found.lines:
        get_run_logger().info("%s", line)
        opened.terminal.say(f"  {line}")
    name, about = f"{opened.recipe.name}-verdict", f"the trained student against {baseline}"
    await show_markdown(name, found.page, about)
    if found.losses:
        raise WorseError("; ".join(found.losses))


def _judged(opened: Session, baseline: str, allowed: float) -> Judged:
    opened.run.writer.flush()
    with opened.run.database() as database:
        return judged(database, baseline=baseline, student="trained", allowed=allowed)
