"""Training examples to a student: DeepSpeed over the ranks the recipe names."""

from __future__ import annotations

from prefect import flow

from flows import steps
from flows.session import DEFAULT, Order, open_session


@flow(name="train", flow_run_name="train {order.recipe}")
async def train(order: Order = DEFAULT) -> None:
    """Train the student of a recipe on what its corpus selected."""
    with open_session(order):
        await steps.train(order)
