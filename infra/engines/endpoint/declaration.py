"""What an OpenAI-compatible server says about itself. Invariant: imports no HTTP client.

A sample: ENDPOINT.address(config) == "http://127.0.0.1:8000/v1"
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from infra.engines.config import EndpointOptions, EngineConfig
from infra.engines.engine import ServedModel
from infra.engines.engine_type import EngineType
from infra.engines.model_files import ModelFilesError
from infra.settings import load_settings


def _connect(config: EngineConfig, secrets: Mapping[str, str]) -> ServedModel:
    from infra.engines.endpoint.engine import EndpointModel

    return EndpointModel(config, secrets=secrets, outage_s=load_settings().outage_s)


def _address(config: EngineConfig) -> str:
    assert config.endpoint is not None
    return config.endpoint.base_url


def _probe(config: EngineConfig, secrets: Mapping[str, str]) -> str:
    from infra.engines.endpoint.probe import probe

    return probe(config, secrets)


def _unset_key(config: EngineConfig) -> str | None:
    """The variable that should hold the key and does not; None: none is named, or a block is."""
    options = config.endpoint
    assert options is not None
    if options.api_key_block is not None or not options.api_key_env:
        return None
    return None if os.environ.get(options.api_key_env, "").strip() else options.api_key_env


def _check(config: EngineConfig) -> None:
    """A recipe that names a variable for somebody else's server means a key to be sent there."""
    options, name = config.endpoint, _unset_key(config)
    assert options is not None
    if name and "api_key_env" in options.model_fields_set and not _is_here(options.base_url):
        raise ModelFilesError(
            f"the environment variable {name} is not set, the key of {config.model} at "
            f"{options.base_url}: set it, or endpoint.api_key_env = '' where none is wanted"
        )


def _note(config: EngineConfig) -> str | None:
    name = _unset_key(config)
    return name and f"no key is sent to {_address(config)}: {name} is not set"


def _is_here(url: str) -> bool:
    """Whether the server is on this machine: such a one seldom wants a key."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


ENDPOINT = EngineType(
    name="endpoint",
    options=EndpointOptions,
    connect=_connect,
    address=_address,
    check=_check,
    note=_note,
    probe=_probe,
    can_hold_schema=True,
    fingerprint=lambda c: f"{c.model}@{c.revision or _address(c).rstrip('/')}",
    identity=lambda config: "",
)
