"""Three Ray nodes on this machine: replicas spread over them, a node lost, engines kept warm.

The nodes are real (a raylet, an object store and workers each); only the machine is one. The
engines have no model (tests/odd_actors.py); a run on nodes with real ones: test_cluster_run.py.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
from ray.cluster_utils import Cluster

from infra.engines import EngineConfig
from infra.engines.engine import EngineInfo
from infra.hosting import quiet_ray
from infra.hosting.ray_cluster import cluster_nodes, start_ray, stop_ray
from infra.hosting.ray_host import ModelPool
from tasks.ports import Prompt, Sampling
from tests.odd_actors import EchoActor, save_empty_model

SHORT = Sampling(max_tokens=4, temperature=1.0)
LONG = Sampling(max_tokens=150, temperature=1.0, num_candidates=4)
AT_ONCE = 8  # requests of one role: its replicas take 6 each
KEEP_WARM_S = 4
LIMIT_S = 150
NODE = {"num_cpus": 2, "object_store_memory": 80 * 1024**2, "include_dashboard": False}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    quiet_ray()
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    for _ in range(2):
        cluster.add_node(**NODE)
    yield cluster
    stop_ray()
    cluster.shutdown()


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> list[EngineConfig]:
    """Two models with two replicas each."""
    folders = [save_empty_model(tmp_path_factory.mktemp(f"role{number}")) for number in (0, 1)]
    return [
        EngineConfig(model=str(folder), threads=1, replicas=2, max_in_flight=6)
        for folder in folders
    ]


@pytest.fixture
async def pool(cluster: Cluster) -> AsyncIterator[ModelPool]:
    await asyncio.to_thread(start_ray, address=cluster.address)
    pool = ModelPool(actor_class=EchoActor)
    yield pool
    await asyncio.to_thread(pool.close)


class Traffic:
    """Problems asked of one role without a pause, a few at a time, each once, until told to end."""

    def __init__(self, pool: ModelPool, config: EngineConfig) -> None:
        self._pool = pool
        self._config = config
        self._numbers = itertools.count()
        self._is_ending = False
        self.replies: dict[int, list[list[str]]] = {}
        self._askers = [asyncio.create_task(self._ask()) for _ in range(AT_ONCE)]

    async def ask(self, number: int) -> list[str]:
        model = self._pool.model(self._config, affinity=str(number))
        return [c.text for c in await model.complete(Prompt(text=f"problem {number}"), LONG)]

    async def end(self) -> None:
        self._is_ending = True
        await asyncio.gather(*self._askers)

    async def _ask(self) -> None:
        while not self._is_ending:
            number = next(self._numbers)
            self.replies.setdefault(number, []).append(await self.ask(number))


async def infos(pool: ModelPool, roles: list[EngineConfig]) -> list[EngineInfo]:
    return [info for config in roles for info in await pool.infos(config)]


async def until(is_so: Callable[[], Any]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not await is_so():
            await asyncio.sleep(0.2)


async def test_a_lost_node_costs_no_answer(
    cluster: Cluster, pool: ModelPool, roles: list[EngineConfig]
) -> None:
    traffic = [Traffic(pool, config) for config in roles]

    async def all_have_served() -> bool:
        found = await infos(pool, roles)
        return len(found) == 4 and all(info["generated_tokens"] for info in found)

    await until(all_have_served)
    before = await infos(pool, roles)
    here = cluster.head_node.node_id
    lost = next(info["node"] for info in before if info["node"] != here)
    (victim,) = [node for node in cluster.worker_nodes if node.node_id == lost]
    await asyncio.to_thread(cluster.remove_node, victim, allow_graceful=False)

    async def all_are_back() -> bool:
        after = await infos(pool, roles)
        return len(after) == 4 and lost not in {info["node"] for info in after}

    await until(all_are_back)
    for of_role in traffic:
        await of_role.end()
    kept = {info["pid"] for info in before if info["node"] != lost}
    assert kept < {info["pid"] for info in await infos(pool, roles)}
    for of_role in traffic:
        assert sorted(of_role.replies) == list(range(len(of_role.replies)))
        assert {len(replies) for replies in of_role.replies.values()} == {1}
        # An answer depends on the request alone, wherever and however often it was sent.
        for number in list(of_role.replies)[-AT_ONCE:]:
            assert [await of_role.ask(number)] == of_role.replies[number]


async def test_the_nodes_are_seen(cluster: Cluster, pool: ModelPool) -> None:
    nodes = cluster_nodes()
    assert len(nodes) == 1 + len(cluster.worker_nodes)
    assert {(node.num_cpus, node.num_gpus) for node in nodes} == {(2, 0)}
    assert all(node.memory_gib for node in nodes)


DRIVER = """
import asyncio, json, sys
from infra.engines import EngineConfig
from infra.hosting.ray_cluster import start_ray, stop_ray
from infra.hosting.ray_host import ModelPool
from infra.settings import Settings
from tasks.ports import Prompt, Sampling
from tests.odd_actors import EchoActor

config = EngineConfig.model_validate_json(sys.argv[1])
start_ray()
print("joined", flush=True)
sys.stdin.readline()
pool = ModelPool(Settings(), actor_class=EchoActor)
asyncio.run(pool.model(config).complete(Prompt(text="hi"), Sampling(max_tokens=4)))
print(json.dumps(asyncio.run(pool.infos(config))))
pool.close()
stop_ray()
"""


@contextmanager
def driver(
    cluster: Cluster, config: EngineConfig, *, keep_warm_s: float
) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that joins the cluster, says so, and waits for a line to ask at."""
    environment = {
        **os.environ, "RAY_ADDRESS": cluster.address, "LITECOT_KEEP_WARM_S": str(keep_warm_s)
    }  # fmt: skip
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, config.model_dump_json()],
        env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def drive(process: subprocess.Popen[str]) -> EngineInfo:
    """It asks once and goes; what its engine is and has done."""
    said, errors = process.communicate("now\n", timeout=LIMIT_S)
    assert process.returncode == 0, errors
    (info,) = json.loads(said)
    return dict(info)


def wait_for_end(pid: int) -> float:
    """Seconds until the process has ended."""
    started = time.monotonic()
    while psutil.pid_exists(pid):
        assert time.monotonic() - started < LIMIT_S
        time.sleep(0.2)
    return time.monotonic() - started


def test_engines_end_with_their_run_or_stay_warm_for_the_next(
    cluster: Cluster, roles: list[EngineConfig]
) -> None:
    config = EngineConfig(**{**roles[0].model_dump(), "replicas": 1})
    with (
        driver(cluster, config, keep_warm_s=KEEP_WARM_S) as one,
        driver(cluster, config, keep_warm_s=KEEP_WARM_S) as another,
        driver(cluster, config, keep_warm_s=0) as cold,
    ):
        for process in (one, another, cold):
            assert process.stdout is not None
            assert process.stdout.readline() == "joined\n"
        first, second = drive(one), drive(another)
        assert second["pid"] == first["pid"]
        assert second["generated_tokens"] == 2 * int(first["generated_tokens"])
        assert 1 < wait_for_end(int(second["pid"])) < LIMIT_S
        last = drive(cold)
        assert last["generated_tokens"] == first["generated_tokens"]
        assert wait_for_end(int(last["pid"])) < 10
