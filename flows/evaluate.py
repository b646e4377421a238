"""Base and trained student on held-out problems, and any model on any benchmark; shard by shard."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from prefect import flow

from flows.flow_runs import TOLD
from flows.session import DEFAULT, Order, resolve_recipe
from flows.steps import all_to_their_end, ingest, num_shards, stage_shard
from flows.turns import in_turn


@flow(name="evaluate", flow_run_name="evaluate {order.title}", **TOLD)
async def evaluate(order: Order = DEFAULT) -> None:
    """Evaluate the students of a recipe."""
    async with in_turn(order) as opened:
        room = asyncio.Semaphore(opened.run.settings.shards_at_once)
        for name, stage in opened.run.stages.items():
            if stage.stage.phase != "evaluation":
                continue
            await opened.run.begin(opened.run.placement.phase_of(name))
            shards = range(num_shards(opened, "eval"))
            ended = await all_to_their_end(_shard(order, name, shard, room) for shard in shards)
            for error in filter(None, ended):
                raise error


async def _shard(order: Order, name: str, shard: int, room: asyncio.Semaphore) -> None:
    async with room:
        await stage_shard(order, name, shard, f"held-out problems, shard {shard}")


@flow(name="evaluate-alone", flow_run_name="evaluate {order.evaluated}", **TOLD)
async def evaluate_alone(order: Order) -> str:
    """One model on the benchmarks of its order, and nothing else. Returns its name in rows."""
    async with in_turn(order) as opened:
        (stage,) = opened.run.stages.values()
        name = stage.names["student"]
        opened.terminal.say(f"  {name}:")
        await ingest(order)
        await evaluate.fn(order)
    return name


@flow(name="evaluate-models", flow_run_name="evaluate {count} models", **TOLD)
async def evaluate_models(orders: Sequence[Order], count: int) -> list[str]:
    """Model after model, each with the machine to itself. Returns their names in rows."""
    hosted = [resolve_recipe(order).models.student.engine_type.is_hosted for order in orders]
    with _ray_kept() if sum(hosted) > 1 else nullcontext():
        return [await evaluate_alone(order) for order in orders]


def _ray_kept() -> AbstractContextManager[None]:
    from infra.hosting.ray_cluster import ray_kept

    return ray_kept()
