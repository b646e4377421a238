"""Training examples to a student: DeepSpeed over the ranks the recipe names.

Models make room first: on GPUs all of them, on CPU those that evaluation does not ask.
"""

from __future__ import annotations

from prefect import flow

from flows import steps
from flows.flow_runs import TOLD
from flows.session import DEFAULT, Order, open_session
from infra.runs.plan import TRAIN


@flow(name="train", flow_run_name="train {order.recipe}", **TOLD)
async def train(order: Order = DEFAULT) -> None:
    """Train the student of a recipe on what its corpus selected."""
    with open_session(order) as opened:
        await opened.run.begin(opened.run.placement.phase_of(TRAIN))
        await steps.train(order)
