"""The long modules first, and what they may share: a Prefect server, a warm Ray, a small corpus.

Workers are given whole modules: a long one begun last would leave the other worker idle. Starting a
Prefect server takes as long as a small run, and loading an engine half as long. A module about
something else asks for `pytestmark = pytest.mark.usefixtures("prefect_server")`, and for
"warm_engines" where it does not matter either which engines its runs ask: they join one Ray, in
which an engine stays loaded for the next run (LITECOT_KEEP_WARM_S). Both are there once a session,
whatever the number of workers. Modules that ask for neither run as a user does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from filelock import FileLock

from flows.server.temporary import API_URL
from tests.integration.calm_corpus import CalmCorpus
from tests.integration.shared_services import SharedServices
from tests.s3_server import S3Service, s3_service

LONGEST_FIRST = (
    "training", "nano_run", "smollm2", "vllm_engine", "replicate", "real_corpus", "tutorial",
    "cluster_run", "replicate_real", "faults", "interruption", "cockpit", "pools", "zero_stages",
    "s3_run", "end_of_turn", "phases", "training_alone", "slurm", "endpoint_runs",
    "ray_nodes", "estimate_run", "real_rationales", "scoring_reference",
)  # fmt: skip
SHORT_LIMIT_S = 240  # of one test of the others, on a machine that is busy with much else
KEEP_WARM_S = 900  # longer than a session leaves an engine alone
# Ray reads once a process whether its calls carry tokens, which a cluster that a process starts has
# and one that it joins may not have: a process of tests meets both, so neither has them here. A
# command that is to start a Ray as a user's does leaves the variable out.
os.environ["RAY_AUTH_MODE"] = "disabled"
OF_THE_CONTROLLER = pytest.StashKey[SharedServices]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the order of LONGEST_FIRST, then the others as they were, and these may not last long."""
    ranks = {f"test_{name}": rank for rank, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))
    for item in items:
        if item.path.stem not in ranks and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SHORT_LIMIT_S))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Before a worker of xdist starts: it is told where the controller's services can be asked."""
    stash = node.config.stash
    if OF_THE_CONTROLLER not in stash:
        stash[OF_THE_CONTROLLER] = SharedServices()
    node.workerinput["shared_services"] = str(stash[OF_THE_CONTROLLER].folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    if services := config.stash.get(OF_THE_CONTROLLER, None):
        services.close()


@pytest.fixture(scope="session")
def services(request: pytest.FixtureRequest) -> Iterator[Path]:
    """The folder at which services are asked for: the controller's, or this process' own."""
    workerinput = getattr(request.config, "workerinput", {})
    if folder := workerinput.get("shared_services"):
        yield Path(folder)
        return
    own = SharedServices()
    yield own.folder
    own.close()


@pytest.fixture(scope="module", autouse=True)
def no_ray_is_left() -> Iterator[None]:
    """What Ray a module started or joined in this process ends with it: the next has its own."""
    yield
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        from infra.hosting.ray_cluster import stop_ray

        stop_ray()


@pytest.fixture(scope="module")
def prefect_server(services: Path) -> Iterator[str]:
    """What the module's runs report to; its API address."""
    api = SharedServices.address(services, "prefect")
    with patch.dict(os.environ, {API_URL: api}):
        yield api


@pytest.fixture(scope="module")
def warm_engines(services: Path) -> Iterator[dict[str, str]]:
    """The module's runs join one Ray and find engines there; the environment that does it."""
    address = SharedServices.address(services, "ray")
    environment = {"RAY_ADDRESS": address, "LITECOT_KEEP_WARM_S": str(KEEP_WARM_S)}
    with patch.dict(os.environ, environment):
        yield environment


@pytest.fixture(scope="module")
def calm(services: Path, prefect_server: str, warm_engines: dict[str, str]) -> CalmCorpus:
    """What a run to which nothing happened left; to be read, or copied and changed."""
    return CalmCorpus.made_once(services)


@pytest.fixture(scope="module")
def much_memory(services: Path) -> Iterator[None]:
    """For modules that take 6 GiB and more: one at a time, or Ray ends a rank to save the rest."""
    with FileLock(services / "much-memory.lock"):
        yield


@pytest.fixture(scope="module")
def s3_of_module() -> Iterator[S3Service]:
    """One bucket for all tests of a module."""
    with s3_service() as running:
        yield running


@pytest.fixture
def s3(
    s3_of_module: S3Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[S3Service]:
    """It, unkind until the end of the test only, and a place for journals."""
    monkeypatch.setenv("LITECOT_JOURNALS", str(tmp_path / "journals"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")  # do not wait long for what is meant to fail
    yield s3_of_module
    s3_of_module.behave()
