"""Every model a run may ask: hosted by Ray actors, or answered by somebody's server.

Invariant: what is not asked does not start: no Ray for a run whose models all sit behind endpoints,
no HTTP client for one without endpoints.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from infra.engines import EngineConfig
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.engines import ServedModel
    from infra.hosting.ray_host import ModelPool
    from infra.runs.ports import HostedModel


class RunModels:
    """A ModelHost (infra.runs.run). `secrets`: name of a secret block -> its value."""

    def __init__(self, settings: Settings, *, secrets: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._secrets = dict(secrets or {})
        self._pool: ModelPool | None = None
        self._served: dict[EngineConfig, ServedModel] = {}

    def model(self, config: EngineConfig, *, affinity: str = "") -> HostedModel:
        """See ModelHost."""
        connect = config.engine_type.connect
        if connect is None:
            return self._actors().model(config, affinity=affinity)
        if config not in self._served:
            self._served.setdefault(config, connect(config, self._secrets))
        return self._served[config]

    async def reside(self, configs: Collection[EngineConfig]) -> None:
        """See ModelHost."""
        if self._pool is not None:
            await self._pool.reside(configs)

    def close(self) -> None:
        """End actors, Ray and connections."""
        for model in self._served.values():
            model.close()
        if self._pool is not None:
            from infra.hosting.ray_cluster import stop_ray

            self._pool.close()
            stop_ray()

    def _actors(self) -> ModelPool:
        if self._pool is None:
            from infra.hosting.ray_host import ModelPool

            self._pool = ModelPool(self._settings)
        return self._pool
