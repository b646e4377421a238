"""One cheap request: does a server answer, does it take our key, does it serve the model?

Invariant: nothing is asked for that a server would charge, the list of models and at most one
entry of it; whatever keeps a run from going is one line, and the key is not in it.

A sample: probe(config, {}) == "https://... answers within 0.2 s and serves gpt-4.1"
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from infra.engines.config import EngineConfig
from infra.engines.endpoint.client import EndpointClient, Page
from infra.engines.endpoint.refusals import EndpointError, one_line
from tasks.errors import near_names

LIMIT_S = 10.0  # to the first byte, once connected
SHOWN = 5  # models that are named where ours is not among them


def probe(config: EngineConfig, secrets: Mapping[str, str]) -> str:
    """A line that says how it stands. Raises EndpointError: a line with the remedy."""
    return asyncio.run(_probe(config, secrets))


async def _probe(config: EngineConfig, secrets: Mapping[str, str]) -> str:
    client = EndpointClient(config, secrets=secrets)
    try:
        started_s = time.perf_counter()
        page = await client.get("models", limit_s=LIMIT_S)
        waited = f"{client.url} answers within {time.perf_counter() - started_s:.1f} s"
        if page.status in (404, 405):
            return f"{waited} and has no list of models: whether it serves {config.model} is open"
        served = _models(page, client)
        if config.model not in served and not await _has(client, config.model):
            raise EndpointError(_not_among(config.model, served, client.url))
        return f"{waited} and serves {config.model}"
    finally:
        client.close()


async def _has(client: EndpointClient, model: str) -> bool:
    """Whether it knows the model under a name that its list has otherwise (llama3:latest)."""
    page = await client.get(f"models/{quote(model, safe='/:')}", limit_s=LIMIT_S)
    return page.status == 200 and isinstance(_json(page.body), dict)


def _models(page: Page, client: EndpointClient) -> list[str]:
    if page.status != 200:
        raise client.unusable(page)
    told = _json(page.body)
    listed = told.get("data") if isinstance(told, dict) else None
    if not isinstance(listed, list):
        raise EndpointError(
            f"{client.url} answers, and {client.url}/models is no list of models: check "
            "endpoint.base_url in the recipe"
        )
    return [str(one["id"]) for one in listed if isinstance(one, dict) and "id" in one]


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _not_among(model: str, served: list[str], url: str) -> str:
    near = near_names(model, served, cutoff=0.5)
    some = ", ".join(map(repr, served[:SHOWN])) + ", ..." * (len(served) > SHOWN)
    hint = f"did you mean {near}?" if near else f"it has {some}" if served else "it lists none"
    return one_line(f"{url} has no model {model!r}; {hint}")
