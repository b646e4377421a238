"""Problems to training examples: ingest, then every shard through its stages, then the global ones.

Shards move independently, so the teacher works on one while the compressor works on another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from prefect import flow

from flows.session import DEFAULT, Order, Session, open_session
from flows.steps import ingest, num_shards, stage_shard

AFTER_CORPUS = ("train", "evaluate-base", "evaluate-trained")


@flow(name="corpus", flow_run_name="corpus {order.recipe}")
async def corpus(order: Order = DEFAULT) -> None:
    """Make the training examples of a recipe."""
    with open_session(order) as opened:
        await ingest(order)
        room = asyncio.Semaphore(opened.run.settings.shards_at_once)
        shards = range(num_shards(opened))
        await all_to_their_end(_through_stages(order, opened, shard, room) for shard in shards)
        for name in _stages(opened, is_global=True):
            await stage_shard.with_options(tags=[name])(order, name, None, "all shards")


async def all_to_their_end(shards: Iterable[Coroutine[Any, Any, None]]) -> None:
    """A shard that fails does not stop the others: they end first, then its error is raised."""
    for outcome in await asyncio.gather(*shards, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def _through_stages(
    order: Order, opened: Session, shard: int, room: asyncio.Semaphore
) -> None:
    async with room:
        for name in _stages(opened, is_global=False):
            tags = [name, f"shard-{shard}"]
            await stage_shard.with_options(tags=tags)(order, name, shard, f"shard {shard}")


def _stages(opened: Session, *, is_global: bool) -> list[str]:
    return [
        name
        for name, stage in opened.run.stages.items()
        if stage.stage.is_global == is_global and name not in AFTER_CORPUS
    ]
