"""Base and trained student on held-out problems, with and without `<compress>`."""

from __future__ import annotations

from prefect import flow

from flows.session import Order, open_session
from flows.steps import stage_shard


@flow(name="evaluate", flow_run_name="evaluate {recipe}")
async def evaluate(
    recipe: str = "nano",
    corpus: str = "corpus",
    problems: list[str] | None = None,
    rationales: list[str] | None = None,
    limit: int | None = None,
    seed: int | None = None,
    overrides: list[str] | None = None,
) -> None:
    """Evaluate the students of a recipe."""
    order = Order.of(locals())
    with open_session(order) as opened:
        for name in opened.run.stages:
            if name.startswith("evaluate-"):
                await stage_shard.with_options(tags=[name])(order, name, None, "held-out problems")
