"""All pools of a driver, and the models that callers hold of them.

Role: one event loop on a thread of its own runs every pool; callers come from any thread and any
event loop, each awaiting its own answer. Invariants: nothing starts before the first request; equal
configurations share one pool; a caller that is cancelled takes its request back.

A sample: `await pools.model(config, affinity="problem-7").complete(prompt, sampling)`
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Collection, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from infra.engines import EngineConfig
from infra.engines.engine import EngineInfo
from infra.hosting.pool import EnginePool
from infra.hosting.replicas import ReplicaHost
from infra.settings import Settings
from tasks.ports import Completion, Prompt, Sampling, ScoreRequest, TokenScores

ResultT = TypeVar("ResultT")
TICK_S = 1.0
CLOSE_LIMIT_S = 30.0

_log = logging.getLogger(__name__)


class Pools:
    """The engines of one driver, by configuration. Safe in many threads and event loops."""

    def __init__(self, host: ReplicaHost, settings: Settings, *, tick_s: float = TICK_S) -> None:
        self._host = host
        self._settings = settings
        self._tick_s = tick_s
        self._pools: dict[EngineConfig, EnginePool] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def model(self, config: EngineConfig, *, affinity: str = "") -> RemoteModel:
        """A model to ask. Nothing starts until it is asked."""
        return RemoteModel(self, config, affinity=affinity)

    @property
    def running(self) -> list[EngineConfig]:
        """Configurations whose engines have been started."""
        return [config for config, pool in list(self._pools.items()) if pool.is_running]

    async def ask(
        self, config: EngineConfig, method: str, *arguments: Any, affinity: str = ""
    ) -> Any:
        """One request to a replica of `config`; see EnginePool.ask."""
        return await self._elsewhere(self._ask(config, method, *arguments, affinity=affinity))

    async def infos(self, config: EngineConfig) -> list[EngineInfo]:
        """What every live replica of `config` is and has done. Starts nothing."""
        return await self._elsewhere(self._infos(config))

    async def reside(self, configs: Collection[EngineConfig]) -> None:
        """From now on only `configs` are asked. The others, once nothing is in flight there, sleep
        where they can and end where they cannot; with no `configs` at all they all end. Starts and
        wakes nothing: that is the next request's doing."""
        if self._loop is not None:
            await self._elsewhere(self._reside(configs))

    def close(self) -> None:
        """End the engines, but for those that stay warm, and free what they hold."""
        with self._starting:
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is None or thread is None:
            return
        try:
            asyncio.run_coroutine_threadsafe(self._close(), loop).result(CLOSE_LIMIT_S)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            self._pools.clear()

    async def _elsewhere(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """`work`, done in the pools' loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._running()))

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop,), name="litecot-pools", daemon=True
                )
                self._thread.start()
            return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        ticking = loop.create_task(self._tick())
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        assert ticking.done()
        loop.close()

    # In the pools' loop

    def _pool(self, config: EngineConfig) -> EnginePool:
        if config not in self._pools:
            self._pools[config] = EnginePool(config, self._host, self._settings)
        return self._pools[config]

    async def _ask(self, config: EngineConfig, method: str, *arguments: Any, affinity: str) -> Any:
        return await self._pool(config).ask(method, *arguments, affinity=affinity)

    async def _infos(self, config: EngineConfig) -> list[EngineInfo]:
        return await self._pool(config).infos()

    async def _reside(self, configs: Collection[EngineConfig]) -> None:
        others = [pool for config, pool in self._pools.items() if config not in configs]
        running = [pool for pool in others if pool.is_running]
        await asyncio.gather(*(pool.rest(may_sleep=bool(configs)) for pool in running))

    async def _close(self) -> None:
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._tick_s)
            ticks = (pool.tick() for pool in self._pools.values())
            for fault in await asyncio.gather(*ticks, return_exceptions=True):
                if isinstance(fault, Exception):  # Ray is busy or gone: requests will tell
                    _log.warning("the engines could not be looked after: %s", fault)


class RemoteModel:
    """A ChatModel and ScoringModel (tasks.ports) hosted by a pool."""

    def __init__(self, pools: Pools, config: EngineConfig, *, affinity: str = "") -> None:
        self._pools = pools
        self._config = config
        self._affinity = affinity

    @property
    def name(self) -> str:
        """The model, as the recipe names it."""
        return self._config.model

    @property
    def engine(self) -> str:
        """The kind of engine."""
        return self._config.engine

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        """See ChatModel and EnginePool.ask."""
        reply: list[Completion] = await self._ask("complete", prompt, sampling)
        return reply

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        """See ScoringModel and EnginePool.ask."""
        reply: list[TokenScores] = await self._ask("score", request)
        return reply

    async def count_many(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, control tokens read as plain text."""
        reply: list[int] = await self._ask("count_many", tuple(texts))
        return reply

    async def info(self) -> EngineInfo:
        """What runs there, and how much it has done: of the first replica. Starts the model."""
        infos = await self._pools.infos(self._config)
        reply: EngineInfo = infos[0] if infos else await self._ask("info")
        return reply

    async def _ask(self, method: str, *arguments: Any) -> Any:
        return await self._pools.ask(self._config, method, *arguments, affinity=self._affinity)
