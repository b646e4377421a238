"""An engine with its process to itself: loaded once, put to sleep and woken, ended when not needed.

Role: what runs at the far end of a replica. infra.hosting.ray_replica makes an actor of it.
Invariants: while somebody asks, or says that he will (`touch`), it does not end by itself; an
engine from outside is the one its driver has, to the byte, or none.

A sample: `process = EngineProcess(config); await process.load(); await process.info()`
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from infra.engines import Engine, EngineConfig, ModelFilesError, engine_sha, open_engine
from infra.engines.engine import EngineInfo
from tasks.plugins import load_plugins
from tasks.ports import Completion, Prompt, Sampling, ScoreRequest, TokenScores


class EngineProcess:
    """One engine. `load` first; it may come again.

    `keep_warm_s`: ends after so long without a call; 0: never. `plugins`: files to load before the
    engine is opened; `source`: the hash its own file had in the driver, empty for one of ours.
    """

    def __init__(
        self,
        config: EngineConfig,
        keep_warm_s: float = 0,
        *,
        plugins: Sequence[str] = (),
        source: str = "",
    ) -> None:
        self._config = config
        self._plugins = plugins
        self._source = source
        self._keep_warm_s = keep_warm_s
        self._engine: Engine | None = None
        self._is_asleep = False
        self._loading = asyncio.Lock()
        self._num_inside = 0
        self._used_at = time.monotonic()
        self._watch: asyncio.Task[None] | None = None

    def open(self) -> Engine:
        """The engine, loaded. Raises PluginError, ModelFilesError."""
        load_plugins(self._plugins)
        if engine_sha(self._config) != self._source:
            raise ModelFilesError(
                f"the source of engine {self._config.engine!r} has changed since this run began: "
                "start it again"
            )
        return open_engine(self._config)

    def watch_idleness(self) -> None:
        """From now on, end after `keep_warm_s` idle seconds."""
        if self._keep_warm_s and self._watch is None:
            self._watch = asyncio.create_task(self._end_when_idle())

    async def end_process(self) -> None:
        """End this process; its engine is closed."""
        raise NotImplementedError

    async def load(self) -> None:
        """Load the model, once, or wake it. Raises ModelFilesError."""
        with self._use():
            async with self._loading:
                if self._engine is None:
                    self._engine = await asyncio.to_thread(self.open)
                elif self._is_asleep:
                    await self._engine.wake()  # type: ignore[attr-defined]
                self._is_asleep = False

    async def sleep(self) -> bool:
        """Free the GPU until `load`; False where the engine cannot."""
        nap = getattr(self._loaded, "sleep", None)
        self._is_asleep = nap is not None and await nap()
        return self._is_asleep

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        """See Engine."""
        with self._use():
            return await self._loaded.complete(prompt, sampling)

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        """See Engine."""
        with self._use():
            return await self._loaded.score(request)

    async def count_many(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        with self._use():
            return [self._loaded.count(text) for text in texts]

    async def info(self) -> EngineInfo:
        """See Engine; and which process it is."""
        return {**self._loaded.info(), "pid": os.getpid()}

    async def touch(self) -> None:
        """Somebody still wants this engine."""
        with self._use():
            return

    async def close(self) -> None:
        """Stop the engine and what it started."""
        if self._engine is not None:
            await asyncio.to_thread(self._engine.close)

    @property
    def _loaded(self) -> Engine:
        assert self._engine is not None, "load() comes first"
        return self._engine

    @contextmanager
    def _use(self) -> Iterator[None]:
        self._num_inside += 1
        try:
            yield
        finally:
            self._num_inside -= 1
            self._used_at = time.monotonic()

    async def _end_when_idle(self) -> None:
        while (left_s := self._used_at + self._keep_warm_s - time.monotonic()) > 0:
            await asyncio.sleep(max(left_s, 1))
            if self._num_inside:
                self._used_at = time.monotonic()
        await self.close()
        await self.end_process()


def error_file() -> str:
    """The file that this process' errors go to; "" where the system does not tell."""
    try:
        return os.readlink("/proc/self/fd/2")
    except OSError:
        return ""
