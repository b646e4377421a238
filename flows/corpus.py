"""Problems to training examples: ingest, then every shard through its stages, then the global ones.

Where all models are loaded together, shards move independently, so the teacher works on one while
the compressor works on another. Where models take turns (infra/placement), a phase of stages is
done for many shards before the next one's models are loaded. The rows are the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from prefect import flow, get_run_logger

from flows.flow_runs import TOLD
from flows.session import DEFAULT, Order, Session
from flows.steps import all_to_their_end, ingest, num_shards, stage_shard
from flows.turns import in_turn
from infra.placement.plan import Phase


@flow(name="corpus", flow_run_name="corpus {order.title}", **TOLD)
async def corpus(order: Order = DEFAULT) -> None:
    """Make the training examples of a recipe."""
    async with in_turn(order) as opened:
        for line in opened.run.placement.words:
            get_run_logger().info(line)
        await ingest(order)
        failures: list[Exception] = []
        for shards in shards_by_turn(opened, num_shards(opened)):
            failures += await _through_phases(order, opened, shards)
        if failures:
            raise failures[0]
        for phase in opened.run.placement.corpus_phases:
            for name in _stages(opened, phase, is_global=True):
                await stage_shard(order, name, None, "all shards")


def shards_by_turn(opened: Session, num: int) -> Iterator[range]:
    """Shards that go through all phases before the next ones begin: all, unless models sleep.

    A model asleep is awake in seconds, so groups of shards can be finished one after another;
    one that was ended has to be loaded again, so all shards go through a phase at once.
    """
    is_cheap = opened.run.placement.mode == "sleep"
    size = opened.run.settings.shards_at_once if is_cheap else max(num, 1)
    return (range(first, min(first + size, num)) for first in range(0, num, size))


async def _through_phases(order: Order, opened: Session, shards: Iterable[int]) -> list[Exception]:
    """Phase by phase; a shard that fails stops no other, and sits out the later phases."""
    room = asyncio.Semaphore(opened.run.settings.shards_at_once)
    going, failures = list(shards), []
    for phase in opened.run.placement.corpus_phases:
        names = _stages(opened, phase, is_global=False)
        if not names:
            continue
        await opened.run.begin(phase)
        ended = await all_to_their_end(_through_stages(order, names, n, room) for n in going)
        failures += [error for error in ended if error is not None]
        going = [shard for shard, error in zip(going, ended, strict=True) if error is None]
    return failures


async def _through_stages(
    order: Order, names: list[str], shard: int, room: asyncio.Semaphore
) -> None:
    async with room:
        for name in names:
            await stage_shard(order, name, shard, f"shard {shard}")


def _stages(opened: Session, phase: Phase, *, is_global: bool) -> list[str]:
    stages = opened.run.stages
    return [name for name in phase.stages if stages[name].stage.is_global == is_global]
