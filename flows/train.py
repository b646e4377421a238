"""Training examples to a student: DeepSpeed over the ranks the recipe names."""

from __future__ import annotations

from prefect import flow

from flows import steps
from flows.session import Order, open_session


@flow(name="train", flow_run_name="train {recipe}")
async def train(
    recipe: str = "nano",
    corpus: str = "corpus",
    problems: list[str] | None = None,
    rationales: list[str] | None = None,
    limit: int | None = None,
    seed: int | None = None,
    overrides: list[str] | None = None,
) -> None:
    """Train the student of a recipe on what its corpus selected."""
    order = Order.of(locals())
    with open_session(order):
        await steps.train(order)
