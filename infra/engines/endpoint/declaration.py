"""What an OpenAI-compatible server says about itself. Invariant: imports no HTTP client.

A sample: ENDPOINT.address(config) == "http://127.0.0.1:8000/v1"
"""

from __future__ import annotations

from collections.abc import Mapping

from infra.engines.config import EndpointOptions, EngineConfig
from infra.engines.engine import ServedModel
from infra.engines.engine_type import EngineType


def _connect(config: EngineConfig, secrets: Mapping[str, str]) -> ServedModel:
    from infra.engines.endpoint.engine import EndpointModel

    return EndpointModel(config, secrets=secrets)


def _address(config: EngineConfig) -> str:
    assert config.endpoint is not None
    return config.endpoint.base_url


ENDPOINT = EngineType(
    name="endpoint",
    options=EndpointOptions,
    connect=_connect,
    address=_address,
    can_hold_schema=True,
    fingerprint=lambda c: f"{c.model}@{c.revision or _address(c).rstrip('/')}",
    identity=lambda config: "",
)
