"""Engines as Ray actors, and this driver's tie to a Ray cluster. The only module that imports ray.

Role: a replica (infra.pools.replicas) is an actor with one engine. Invariants: Ray starts with the
first request for a model and not before; an error raised in an actor arrives here as itself; no
actor outlives its driver, but those that are to stay warm in a standing cluster, and these end by
themselves once nobody has asked for `keep_warm_s`.

A sample: `completions = await ModelPool().model(config).complete(prompt, sampling)`
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import logging
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayError, RayTaskError

from infra.engines import (
    EngineBrokenError,
    EngineConfig,
    EngineDied,
    ModelFilesError,
    check_model,
    model_fingerprint,
)
from infra.engines.engine import EngineInfo
from infra.placement.footprints import Node
from infra.placement.machine import MIN_PLACES, ray_node
from infra.pools.pools import Pools
from infra.pools.process import EngineProcess, error_file
from infra.pools.replicas import ReplicaLostError
from infra.settings import Settings
from tasks.ports import TransientError

__all__ = [
    "EngineActor",
    "EngineDied",
    "ModelPool",
    "cluster_nodes",
    "quiet_ray",
    "start_ray",
    "stop_ray",
]

NAMESPACE = "litecot"
SPARE_CALLS = 100  # an actor takes so many more calls at a time than its pool sends requests
SLEEPERS_GPU = 0.1  # of a GPU, for Ray: engines with sleep mode take turns on one
END_LIMIT_S = 10.0  # for an engine to close in good order
SILENCE_LIMIT_S = 60  # of an actor that cannot be reached
LONG_START_S = 60.0
LOG_TAIL_LINES = 5
LOCAL_OBJECT_STORE_BYTES = 256 * 1024**2  # requests and replies are small
STDERR = 2  # where C++ writes
_NOTE = re.compile(rb"\[[\d-]+ [\d:,]+ [DIW] \d+ \d+\] ")  # of C++, below an error
_STARTING = threading.Lock()
_QUIET = {
    "RAY_BACKEND_LOG_LEVEL": "error",  # no warnings of its C++ part between our lines
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_prestart_worker_first_driver": "0",  # engines have an environment no such worker has
    "RAY_worker_niceness": "0",  # by default engines yield to everything else on the machine
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # `uv run litecot` must not rebuild the environment
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_joined = False  # a cluster that stood before this driver came

_log = logging.getLogger(__name__)


class EngineActor(EngineProcess):
    """An engine's process as an actor of Ray."""

    async def where(self) -> dict[str, str]:
        """Ray's node, and the file that this process' errors go to. Comes first."""
        self.watch_idleness()
        return {"node": ray.get_runtime_context().get_node_id(), "log": error_file()}

    async def info(self) -> EngineInfo:
        """See EngineProcess; and on which of Ray's nodes it is."""
        return {**await super().info(), "node": ray.get_runtime_context().get_node_id()}

    async def end_process(self) -> None:
        """No death to be explained: its name is free at once."""
        ray.kill(ray.get_runtime_context().current_actor)


class RayReplica:
    """A Replica (infra.pools.replicas): one actor, seen from the driver."""

    def __init__(self, actor: Any, model: str, options: dict[str, Any], keep_warm_s: float) -> None:
        self._actor = actor
        self._model = model
        self._options = options
        self._keep_warm_s = keep_warm_s
        self._touched_at = time.monotonic()
        self._where: dict[str, str] = {}

    async def load(self) -> None:
        """See Replica."""
        placing = asyncio.ensure_future(self.call("where"))
        done, _ = await asyncio.wait({placing}, timeout=LONG_START_S)
        if not done:
            wants = {name: self._options[name] for name in ("num_cpus", "num_gpus")}
            _log.warning("an engine of %s still waits for room in the Ray cluster: it wants %s",
                         self._model, wants)  # fmt: skip
        self._where = await placing
        await self.call("load")

    async def call(self, method: str, *arguments: Any) -> Any:
        """See Replica."""
        reply = getattr(self._actor, method).remote(*arguments)
        try:
            return await reply
        except asyncio.CancelledError:
            ray.cancel(reply)
            raise
        except RayTaskError as error:
            raise error.cause from None
        except RayError as error:
            raise ReplicaLostError(_reason(error)) from error

    async def autopsy(self, loss: Exception) -> tuple[str, bool]:
        """See Replica. No request takes a node away or calls ray.kill."""
        if isinstance(loss, EngineBrokenError):
            return str(loss), False
        error = await self._last_word(loss.__cause__ or loss)
        reason = _reason(error)
        if isinstance(error, ActorUnavailableError) or "ray.kill" in reason:
            return reason, True
        if "node has died" in reason or await self._has_lost_its_node():
            return reason, True
        return f"{reason}{await asyncio.to_thread(self._log_tail)}", False

    async def sleep(self) -> bool:
        """See Replica. Ray takes no GPU back from an actor that sleeps on a whole one."""
        if self._options["num_gpus"] >= 1:
            return False
        with suppress(ReplicaLostError):
            return bool(await self.call("sleep"))
        return False

    async def end(self) -> None:
        """See Replica."""
        with suppress(Exception):
            async with asyncio.timeout(END_LIMIT_S):
                await self._actor.close.remote()
        with suppress(Exception):
            ray.kill(self._actor)

    async def leave(self) -> None:
        """See Replica."""
        if not self._keep_warm_s:
            await self.end()

    def touch(self) -> None:
        """See Replica."""
        now = time.monotonic()
        if self._keep_warm_s and now - self._touched_at > self._keep_warm_s / 3:
            self._touched_at = now
            self._actor.touch.remote()

    async def _last_word(self, error: BaseException) -> BaseException:
        """Ray says "unavailable" while it does not know yet whether an actor has died."""
        for _ in range(SILENCE_LIMIT_S):
            if not isinstance(error, ActorUnavailableError):
                break
            await asyncio.sleep(1)
            try:
                await self._actor.touch.remote()
            except RayError as later:
                error = later
            else:
                break  # it lives, its answers are lost
        return error

    async def _has_lost_its_node(self) -> bool:
        """A node that ends takes its actors along a moment before Ray says so."""
        for _ in range(2):
            nodes: list[dict[str, Any]] = await asyncio.to_thread(ray.nodes)
            if not any(n["Alive"] for n in nodes if n["NodeID"] == self._where.get("node")):
                return bool(self._where)
            await asyncio.sleep(1)
        return False

    def _log_tail(self) -> str:
        """What its process said last, where that is on this machine."""
        try:
            text = Path(self._where.get("log", "")).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        lines = [line for line in text.splitlines() if line and not line.startswith(":")]
        return "".join(f"\n  {line}" for line in lines[-LOG_TAIL_LINES:])


class RayHost:
    """A ReplicaHost (infra.pools.replicas)."""

    def __init__(self, actor_class: type[EngineActor], settings: Settings) -> None:
        self._actor_class = actor_class
        self._settings = settings
        self._taken: dict[EngineConfig, dict[str, float]] = {}
        self._names: dict[EngineConfig, str] = {}

    async def prepare(self, config: EngineConfig) -> None:
        """See ReplicaHost. What can never fit is refused: Ray would wait for ever."""
        await asyncio.to_thread(check_model, config)
        await asyncio.to_thread(start_ray)
        self._names[config] = await asyncio.to_thread(_name, config)
        resources: dict[str, float] = await asyncio.to_thread(ray.cluster_resources)
        for resource, each in _wants(config).items():
            wanted = each * config.replicas
            taken = sum(other.get(resource, 0) for other in self._taken.values())
            if wanted and taken + wanted > resources.get(resource, 0):
                raise ModelFilesError(
                    f"model {config.model!r} needs {wanted:g} {resource} in Ray's cluster, which "
                    f"has {resources.get(resource, 0):g}, {taken:g} of them taken: give the run "
                    "more, ask for fewer replicas, or set device = 'cpu' for a smaller model"
                )
        self._taken[config] = {r: each * config.replicas for r, each in _wants(config).items()}

    def release(self, config: EngineConfig) -> None:
        """See ReplicaHost."""
        self._taken.pop(config, None)

    async def has_room(self, config: EngineConfig) -> bool:
        """See ReplicaHost."""
        free: dict[str, float] = await asyncio.to_thread(ray.available_resources)
        return all(free.get(resource, 0) >= each for resource, each in _wants(config).items())

    def start(self, config: EngineConfig, number: int) -> RayReplica:
        """See ReplicaHost. A warm actor of the same name is taken as it is."""
        keep_warm_s = self._settings.keep_warm_s if _joined else 0
        name = f"{self._names[config]}-{number}"
        options = _options(config)
        if keep_warm_s:
            life = {"name": name, "lifetime": "detached", "get_if_exists": True}
        else:  # a name of this driver's own, for people to read
            life = {"name": f"{name}-{time.time_ns():x}"}
        remote: Any = ray.remote(self._actor_class)
        actor = remote.options(**options, **life, namespace=NAMESPACE).remote(config, keep_warm_s)
        return RayReplica(actor, config.model, options, keep_warm_s)


class ModelPool(Pools):
    """All engines of one driver, hosted by Ray actors of `actor_class`."""

    def __init__(
        self, settings: Settings | None = None, *, actor_class: type[EngineActor] = EngineActor
    ) -> None:
        settings = settings or Settings()
        super().__init__(RayHost(actor_class, settings), settings)


def start_ray(
    *, num_cpus: int | None = None, temp_dir: Path | None = None, address: str | None = None
) -> None:
    """Join the cluster at `address` or RAY_ADDRESS, or start a quiet one here. Idempotent.

    `temp_dir` must be short: Ray's sockets lie in it and a socket's path may have 107 bytes.
    """
    with _STARTING:
        if not ray.is_initialized():
            _call_on_lasting_thread(partial(_init_ray, num_cpus, temp_dir, address))


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


def _init_ray(num_cpus: int | None, temp_dir: Path | None, address: str | None) -> None:
    quiet_ray()
    try:
        with _without_first_words():
            _join_or_start(num_cpus, temp_dir, address)
    except Exception as error:  # a busy machine: Ray gives its own processes 30 s
        ray.shutdown()
        raise TransientError(f"Ray did not start: {_first_line(error)}") from error


def quiet_ray() -> None:
    """Before Ray's processes start: what they must not do on their own."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


@contextmanager
def _without_first_words() -> Iterator[None]:
    """What Ray's C++ part notes before it heeds its log level (the level itself, that there is
    no internet) stays unsaid; all else on stderr is passed on."""
    with tempfile.TemporaryFile() as said:
        stderr = os.dup(STDERR)
        os.dup2(said.fileno(), STDERR)
        try:
            yield
        finally:
            os.dup2(stderr, STDERR)
            os.close(stderr)
            said.seek(0)
            for line in said:
                if not _NOTE.match(line):
                    os.write(STDERR, line)


def _join_or_start(num_cpus: int | None, temp_dir: Path | None, address: str | None) -> None:
    global _joined
    _joined = bool(address or os.environ.get("RAY_ADDRESS"))
    if _joined:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        return
    ray.init(
        num_cpus=num_cpus or max(MIN_PLACES, os.cpu_count() or 1),
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


def cluster_nodes() -> list[Node]:
    """The nodes of the cluster at RAY_ADDRESS, which this driver joins. Raises TransientError."""
    start_ray()
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [ray_node(node) for node in nodes if node["Alive"]]


def _options(config: EngineConfig) -> dict[str, Any]:
    """Ray options: where the actor goes, and the threads of its libraries."""
    threads = config.threads or os.cpu_count() or 1
    wants = _wants(config)
    return {
        "num_cpus": wants["CPU"],
        "num_gpus": wants["GPU"],
        "max_concurrency": config.max_in_flight + SPARE_CALLS,
        "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(threads)}},
    }


def _wants(config: EngineConfig) -> dict[str, float]:
    """Ray's resources for one replica. Tensor parallelism wants whole GPUs, all on one node."""
    num_gpus: float = config.for_vllm.tensor_parallel if _is_on_gpu(config) else 0
    if num_gpus == 1 and config.for_vllm.enable_sleep_mode:
        num_gpus = SLEEPERS_GPU
    return {"CPU": 1, "GPU": num_gpus}


def _is_on_gpu(config: EngineConfig) -> bool:
    if config.device == "auto":
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return resources.get("GPU", 0) >= 1
    return config.device == "cuda"


def _name(config: EngineConfig) -> str:
    """The same for every driver that would load the same: configuration, weights, our version."""
    try:
        version = importlib.metadata.version("litecot")
    except importlib.metadata.PackageNotFoundError:
        version = ""
    identity = f"{config.model_dump_json()}\0{model_fingerprint(config)}\0{version}"
    model = re.sub(r"[^\w.]+", "-", Path(config.model).name)
    return f"litecot-{model}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def _reason(error: BaseException) -> str:
    """The line of Ray's long message that says why."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return next((line.strip() for line in lines if " because " in line), lines[0])


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
