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
    from infra.engines.endpoint.engine import Endpoints
    from infra.hosting.ray_host import ModelPool
    from infra.runs.ports import HostedModel


class RunModels:
    """A ModelHost (infra.runs.run). `secrets`: name of a secret block -> its value."""

    def __init__(self, settings: Settings, *, secrets: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._secrets = dict(secrets or {})
        self._pool: ModelPool | None = None
        self._endpoints: Endpoints | None = None

    def model(self, config: EngineConfig, *, affinity: str = "") -> HostedModel:
        """See ModelHost."""
        if config.engine == "endpoint":
            return self._servers().model(config)
        return self._actors().model(config, affinity=affinity)

    async def reside(self, configs: Collection[EngineConfig]) -> None:
        """See ModelHost."""
        if self._pool is not None:
            await self._pool.reside(configs)

    def close(self) -> None:
        """End actors, Ray and connections."""
        if self._endpoints is not None:
            self._endpoints.close()
        if self._pool is not None:
            from infra.hosting.ray_cluster import stop_ray

            self._pool.close()
            stop_ray()

    def _servers(self) -> Endpoints:
        if self._endpoints is None:
            from infra.engines.endpoint.engine import Endpoints

            self._endpoints = Endpoints(secrets=self._secrets)
        return self._endpoints

    def _actors(self) -> ModelPool:
        if self._pool is None:
            from infra.hosting.ray_host import ModelPool

            self._pool = ModelPool(self._settings)
        return self._pool
