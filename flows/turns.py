"""Runs that would collide wait for one another: one writer a corpus, one run a pool of GPUs.

Role: a flow opens its session here. What is waited for is the corpus' own lock, so it holds
whatever server a run reports to, and a killed run leaves nothing to wait for. Runs with the same
LITECOT_GPU_POOL share Prefect's global concurrency limit of that name, one slot unless somebody
gave it more (`prefect gcl update`). Invariants: who waits says so in its log, and can be cancelled;
the corpus comes first, so no two wait for each other.

A sample:
    async with in_turn(order) as opened:
        ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, nullcontext

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import concurrency
from prefect.exceptions import ObjectNotFound

from flows.flow_runs import cancelled_with, current_run, say_cancelled
from flows.session import Order, Session, is_open, open_session, terminal_here
from infra.settings import load_settings
from infra.storage.errors import CorpusBusyError

LOOK_EVERY_S = 2.0
LEASE_S = 60.0  # Prefect's least: a killed run's slot is free after it


@asynccontextmanager
async def in_turn(order: Order, *, only_trains: bool = False) -> AsyncIterator[Session]:
    """The order's session, once nobody else writes its corpus and its GPUs are free; at once where
    an outer flow has it open."""
    if is_open(order):
        with open_session(order) as opened:
            yield opened
        return
    try:
        with ExitStack() as stack:
            opened = await _opened(stack, order, only_trains=only_trains)
            async with _gpus(load_settings().gpu_pool):
                yield opened
    except asyncio.CancelledError:
        say_cancelled(current_run())
        raise


async def _opened(stack: ExitStack, order: Order, *, only_trains: bool) -> Session:
    current, has_said = current_run(), False
    with cancelled_with(current) if current else nullcontext():
        while True:
            try:
                return stack.enter_context(open_session(order, only_trains=only_trains))
            except CorpusBusyError as busy:
                if not has_said:
                    _say(f"waits for its turn: {str(busy).partition(';')[0]}")
                    has_said = True
                await asyncio.sleep(LOOK_EVERY_S)


@asynccontextmanager
async def _gpus(pool: str) -> AsyncIterator[None]:
    if not pool:
        yield
        return
    name = f"gpu-pool-{pool}"
    async with get_client() as client:
        try:
            limit = await client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            await client.upsert_global_concurrency_limit_by_name(name, 1)
            limit = await client.read_global_concurrency_limit_by_name(name)
    if limit.active_slots >= limit.limit:
        runs = "1 run" if limit.limit == 1 else f"{limit.limit} runs"
        _say(f"waits for its turn: GPU pool {pool!r} takes {runs} at a time")
    async with concurrency(name, lease_duration=LEASE_S, raise_on_lease_renewal_failure=False):
        yield


def _say(line: str) -> None:
    terminal_here().say(f"  {line}")
    get_run_logger().warning(line)
