"""One Prefect server for the modules that ask for it: starting one takes as long as a small run.

A module about something else says `pytestmark = pytest.mark.usefixtures("prefect_server")`; the
runs of the others start a temporary server of their own, as a user's do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from flows.launch import settle_environment
from flows.server import API_URL, TemporaryServer
from infra.settings import load_settings


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
