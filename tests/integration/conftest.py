"""The long modules first, and one Prefect server for those that ask for it.

Workers are given whole modules: a long one begun last would leave the other worker idle. Starting a
server takes as long as a small run: `pytestmark = pytest.mark.usefixtures("prefect_server")` in a
module about something else; the runs of the others start a temporary server of their own, as a
user's do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from flows.server.environment import settle_environment
from flows.server.temporary import API_URL, TemporaryServer
from infra.settings import load_settings

LONGEST_FIRST = (
    "nano_run", "pools", "crash", "real_corpus", "vllm_engine", "ray_nodes", "phases", "s3_run",
    "training", "real_rationales", "faults", "cluster_run", "scoring_reference", "endpoint_runs",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the order of LONGEST_FIRST, then the others as they were."""
    ranks = {f"test_{name}": rank for rank, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[str]:
    """The address of a server that lasts as long as this process."""
    with patch.dict(os.environ):
        settle_environment(load_settings())
        server = TemporaryServer()
        api = os.environ[API_URL] = server.address()[1]
        server.wait()
    yield api
    server.stop()


@pytest.fixture(scope="module")
def prefect_server(prefect_api: str) -> Iterator[None]:
    """What the module's runs report to."""
    with patch.dict(os.environ, {API_URL: prefect_api}):
        yield
