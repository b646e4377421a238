"""Models as Ray actors, and what a driver holds of them. The only module that imports ray.

Invariants: an actor starts at the first request for its model and not before, so a run with nothing
left to do starts neither Ray nor a model; roles with equal EngineConfig share one actor; an error
raised in the actor arrives here as itself; a dead actor is a TransientError, and the next request
starts a new one.

A sample: `completions = await ModelPool().model(config).complete(prompt, sampling)`
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from infra.engines import Engine, EngineConfig, ModelFilesError, check_model, open_engine
from infra.engines.engine import EngineInfo
from tasks.ports import Completion, Prompt, Sampling, ScoreRequest, TokenScores, TransientError

MAX_CONCURRENCY = 1000  # requests inside one actor at a time; more wait in Ray's queue
LOCAL_OBJECT_STORE_BYTES = 256 * 1024**2  # requests and replies are small
MIN_LOCAL_CPUS = 8  # places for actors, not cores: engines on one machine take turns
_STARTING = threading.Lock()
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # by default engines yield to everything else on the machine
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # `uv run litecot` must not rebuild the environment
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


class EngineDied(TransientError):  # noqa: N818  # an event, as the design calls it
    """The process that hosted the model is gone; the request may be sent again."""


class _EngineActor:
    """One engine in a process of its own. `load` first; it may be called again."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._engine: Engine | None = None
        self._loading = asyncio.Lock()

    async def load(self) -> None:
        """Load the model, once. Raises ModelFilesError."""
        async with self._loading:
            if self._engine is None:
                self._engine = await asyncio.to_thread(open_engine, self._config)

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        """See Engine."""
        return await self._loaded.complete(prompt, sampling)

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        """See Engine."""
        return await self._loaded.score(request)

    async def count_many(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return [self._loaded.count(text) for text in texts]

    async def info(self) -> EngineInfo:
        """See Engine."""
        return self._loaded.info()

    @property
    def _loaded(self) -> Engine:
        assert self._engine is not None, "load() comes first"
        return self._engine


EngineActor: Any = ray.remote(_EngineActor)


def start_ray(*, num_cpus: int | None = None, temp_dir: Path | None = None) -> None:
    """Join the cluster at RAY_ADDRESS, or start a quiet one on this machine. Idempotent.

    `temp_dir` must be short: Ray's sockets lie in it and a socket's path may have 107 bytes.
    """
    with _STARTING:
        if not ray.is_initialized():
            _call_on_lasting_thread(partial(_init_ray, num_cpus, temp_dir))


def _call_on_lasting_thread(call: Callable[[], None]) -> None:
    """Linux kills Ray's processes when the *thread* that started them ends, and threads of an
    event loop's executor end with the loop: so they are started by one that never does."""
    outcome: Future[None] = Future()

    def run() -> None:
        try:
            call()
        except BaseException as error:
            outcome.set_exception(error)
        else:
            outcome.set_result(None)
            threading.Event().wait()

    threading.Thread(target=run, name="litecot-ray", daemon=True).start()
    outcome.result()


def _init_ray(num_cpus: int | None, temp_dir: Path | None) -> None:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        _join_or_start(num_cpus, temp_dir)
    except Exception as error:  # a busy machine: Ray gives its own processes 30 s
        ray.shutdown()
        raise TransientError(f"Ray did not start: {_first_line(error)}") from error


def _join_or_start(num_cpus: int | None, temp_dir: Path | None) -> None:
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
        return
    ray.init(
        num_cpus=num_cpus or max(MIN_LOCAL_CPUS, os.cpu_count() or 1),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=LOCAL_OBJECT_STORE_BYTES,
        _temp_dir=str(temp_dir or Path(tempfile.gettempdir()) / f"litecot-ray-{os.getuid()}"),
    )


def stop_ray() -> None:
    """Leave the cluster; a local one stops with its actors."""
    if ray.is_initialized():
        ray.shutdown()


class ModelPool:
    """The actors of one driver, by configuration. Safe in many threads and event loops."""

    def __init__(self) -> None:
        self._actors: dict[EngineConfig, Any] = {}
        self._loaded: set[Any] = set()
        self._lock = threading.Lock()

    def model(self, config: EngineConfig, *, affinity: str = "") -> RemoteModel:
        """A model to ask. Nothing starts until it is asked."""
        return RemoteModel(self, config)

    @property
    def running(self) -> list[EngineConfig]:
        """Configurations whose actor has been started."""
        return list(self._actors)

    async def actor(self, config: EngineConfig) -> Any:
        """The loaded actor for `config`, started if need be. Raises ModelFilesError."""
        actor: Any = self._actors.get(config)
        if actor is None:
            actor = await asyncio.to_thread(self._start, config)
        if actor not in self._loaded:
            await actor.load.remote()
            self._loaded.add(actor)
        return actor

    def forget(self, config: EngineConfig, actor: Any) -> None:
        """Drop a dead actor, so that the next request starts another."""
        with self._lock:
            if self._actors.get(config) is actor:
                del self._actors[config]
            self._loaded.discard(actor)

    def close(self) -> None:
        """End the actors and free what they hold."""
        with self._lock:
            for actor in self._actors.values():
                ray.kill(actor)
            self._actors.clear()
            self._loaded.clear()

    def _check_gpus(self, config: EngineConfig) -> None:
        """Ray would wait for ever for a GPU that no actor gives back."""
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        held = sum(_wants_gpu(other) for other in self._actors)
        if _wants_gpu(config) and held + 1 > resources.get("GPU", 0):
            raise ModelFilesError(
                f"model {config.model!r} needs a GPU of its own and all {held} are taken: give the "
                "run more GPUs, or set device = 'cpu' for a smaller model"
            )

    def _start(self, config: EngineConfig) -> Any:
        with self._lock:
            if config not in self._actors:
                check_model(config)
                start_ray()
                self._check_gpus(config)
                self._actors[config] = EngineActor.options(**_placement(config)).remote(config)
            return self._actors[config]


class RemoteModel:
    """A ChatModel and ScoringModel (tasks.ports) hosted by an actor of a pool."""

    def __init__(self, pool: ModelPool, config: EngineConfig) -> None:
        self._pool = pool
        self._config = config

    @property
    def name(self) -> str:
        """The model, as the recipe names it."""
        return self._config.model

    @property
    def engine(self) -> str:
        """The kind of engine."""
        return self._config.engine

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        """See ChatModel. Raises EngineDied too."""
        reply: list[Completion] = await self._ask("complete", prompt, sampling)
        return reply

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        """See ScoringModel. Raises EngineDied too."""
        reply: list[TokenScores] = await self._ask("score", request)
        return reply

    async def count_many(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, control tokens read as plain text."""
        reply: list[int] = await self._ask("count_many", texts)
        return reply

    async def info(self) -> EngineInfo:
        """What runs there, and how much it has done. Starts the model."""
        reply: EngineInfo = await self._ask("info")
        return reply

    async def _ask(self, method: str, *arguments: object) -> Any:
        actor = None
        try:
            actor = await self._pool.actor(self._config)
            return await getattr(actor, method).remote(*arguments)
        except RayTaskError as error:
            raise error.cause from None
        except RayError as error:
            self._pool.forget(self._config, actor)
            raise EngineDied(f"the engine of {self.name} died: {_first_line(error)}") from error


def _placement(config: EngineConfig) -> dict[str, Any]:
    """Ray options: where the actor goes, and the threads of its libraries."""
    threads = config.threads or os.cpu_count() or 1
    return {
        "num_cpus": 1,
        "num_gpus": 1 if _wants_gpu(config) else 0,
        "max_concurrency": MAX_CONCURRENCY,
        "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(threads)}},
    }


def _wants_gpu(config: EngineConfig) -> bool:
    if config.device == "auto":
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return resources.get("GPU", 0) >= 1
    return config.device == "cuda"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
