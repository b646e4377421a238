"""Who hosts a driver's replicas: actors of Ray, placed by their resources.

Role: the ReplicaHost of infra/hosting/replicas.py, and the pool over it. Invariant: no actor
outlives its driver, but those that are to stay warm in a standing cluster, and these end by
themselves once nobody has asked for `keep_warm_s`.

A sample: `completions = await ModelPool().model(config).complete(prompt, sampling)`
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import os
import re
import time
from pathlib import Path
from typing import Any

import ray

from infra.engines import (
    EngineConfig,
    ModelFilesError,
    check_model,
    engine_sha,
    model_fingerprint,
)
from infra.engines.model_files import model_folder
from infra.environment import KEEP, hub_tokens, kept_names
from infra.hosting.pools import Pools
from infra.hosting.ray_cluster import NAMESPACE, has_joined, start_ray
from infra.hosting.ray_replica import EngineActor, RayReplica
from infra.settings import Settings
from tasks.plugins import loaded_plugins

SPARE_CALLS = 100  # an actor takes so many more calls at a time than its pool sends requests
SLEEPERS_GPU = 0.1  # of a GPU, for Ray: engines with sleep mode take turns on one


class RayHost:
    """A ReplicaHost (infra.hosting.replicas)."""

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
        keep_warm_s = self._settings.keep_warm_s if has_joined() else 0
        name = f"{self._names[config]}-{number}"
        options = _options(config)
        if keep_warm_s:
            life = {"name": name, "lifetime": "detached", "get_if_exists": True}
        else:  # a name of this driver's own, for people to read
            life = {"name": f"{name}-{time.time_ns():x}"}
        remote: Any = ray.remote(self._actor_class)
        actor = remote.options(**options, **life, namespace=NAMESPACE).remote(
            config, keep_warm_s, plugins=loaded_plugins(), source=engine_sha(config)
        )
        return RayReplica(actor, config.model, options, keep_warm_s)


class ModelPool(Pools):
    """All engines of one driver, hosted by Ray actors of `actor_class`."""

    def __init__(
        self, settings: Settings | None = None, *, actor_class: type[EngineActor] = EngineActor
    ) -> None:
        settings = settings or Settings()
        super().__init__(RayHost(actor_class, settings), settings)


def _options(config: EngineConfig) -> dict[str, Any]:
    """Ray options: where the actor goes, and the threads of its libraries."""
    threads = config.threads or os.cpu_count() or 1
    wants = _wants(config)
    of_threads = {"OMP_NUM_THREADS": str(threads)}
    if not wants["GPU"]:  # a run's models share the cores: who waits by spinning takes them
        of_threads["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
    return {
        "num_cpus": wants["CPU"],
        "num_gpus": wants["GPU"],
        "max_concurrency": config.max_in_flight + SPARE_CALLS,
        "runtime_env": {"env_vars": {**of_threads, KEEP: _kept(config)}},
    }


def _kept(config: EngineConfig) -> str:
    """Names for infra/environment.py, never values: Ray shows those to whoever asks it."""
    needs_hub = config.engine_type.has_checkpoint and model_folder(config.model) is None
    return ",".join([*kept_names(os.environ), *hub_tokens(needs_hub=needs_hub)])


def _wants(config: EngineConfig) -> dict[str, float]:
    """Ray's resources for one replica. Tensor parallelism wants whole GPUs, all on one node."""
    needs = config.engine_type.needs
    num_gpus: float = needs.gpus(config) if _is_on_gpu(config) else 0
    if num_gpus == 1 and needs.sleep is not None and needs.sleep.is_on(config):
        num_gpus = SLEEPERS_GPU
    return {"CPU": 1, "GPU": num_gpus}


def _is_on_gpu(config: EngineConfig) -> bool:
    has_gpus = False
    if config.device == "auto":
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        has_gpus = resources.get("GPU", 0) >= 1
    return config.engine_type.is_on_gpu(config, has_gpus=has_gpus)


def _name(config: EngineConfig) -> str:
    """The same for every driver that would load the same: configuration, weights, our version."""
    try:
        version = importlib.metadata.version("litecot")
    except importlib.metadata.PackageNotFoundError:
        version = ""
    source = engine_sha(config)
    identity = f"{config.model_dump_json()}\0{model_fingerprint(config)}\0{version}{source}"
    model = re.sub(r"[^\w.]+", "-", Path(config.model).name)
    return f"litecot-{model}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
