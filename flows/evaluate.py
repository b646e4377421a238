"""Base and trained student on held-out problems, with and without `<compress>`."""

from __future__ import annotations

from prefect import flow

from flows.flow_runs import TOLD
from flows.session import DEFAULT, Order, open_session
from flows.steps import stage_shard


@flow(name="evaluate", flow_run_name="evaluate {order.recipe}", **TOLD)
async def evaluate(order: Order = DEFAULT) -> None:
    """Evaluate the students of a recipe."""
    with open_session(order) as opened:
        for name, stage in opened.run.stages.items():
            if stage.stage.phase == "evaluation":
                await opened.run.begin(opened.run.placement.phase_of(name))
                await stage_shard.with_options(tags=[name])(order, name, None, "held-out problems")
