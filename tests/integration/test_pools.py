"""Pools of real Ray actors on this machine: poison, growth, sleep, what cannot load, the end.

The processes are real, their engines have no model (tests/odd_actors.py): what is shown here does
not depend on one. A real engine in an actor: test_engine_actor.py, test_vllm_engine.py.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from infra.engines import EngineConfig, EngineStartError, ModelFilesError
from infra.hosting.ray_host import ModelPool
from infra.hosting.ray_replica import EngineActor
from infra.settings import Settings
from tasks.ports import PermanentError, Prompt, Sampling
from tests.odd_actors import (
    DEADLY,
    EchoActor,
    MortalActor,
    SleepyActor,
    StillbornActor,
    save_empty_model,
)

SHORT = Sampling(max_tokens=4, temperature=1.0)
LIMIT_S = 120


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> EngineConfig:
    return EngineConfig(model=str(save_empty_model(tmp_path_factory.mktemp("empty"))), threads=1)


@contextmanager
def pool_of(
    actor_class: type[EngineActor] = EchoActor, settings: Settings | None = None
) -> Iterator[ModelPool]:
    pool = ModelPool(settings, actor_class=actor_class)
    yield pool
    pool.close()


def changed(config: EngineConfig, **fields: int) -> EngineConfig:
    return EngineConfig(**{**config.model_dump(), **fields})


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not is_so():
            await asyncio.sleep(0.1)


async def test_a_record_that_kills_its_engine_is_refused_alone(
    config: EngineConfig, tmp_path: Path
) -> None:
    deaths = tmp_path / "deaths"
    texts = [f"problem {n}" for n in range(12)]
    with pool_of(MortalActor) as pool:
        model = pool.model(config)
        asked = [*texts[:6], f"{DEADLY}{deaths}", *texts[6:]]
        found = await asyncio.gather(
            *(model.complete(Prompt(text=text), SHORT) for text in asked), return_exceptions=True
        )
        again = [await model.complete(Prompt(text=text), SHORT) for text in texts]
    poison = found.pop(6)
    assert isinstance(poison, PermanentError)
    assert poison.reason == "poison"
    assert deaths.read_text().count("died") == 3
    assert [[c.text for c in reply] for reply in found] == [  # type: ignore[union-attr]
        [c.text for c in reply] for reply in again
    ]


async def test_a_pool_grows_and_shrinks(config: EngineConfig) -> None:
    settings = Settings(scale_up_after_s=0.5, scale_down_after_s=0.5)
    growing = changed(config, max_in_flight=1, max_replicas=2)
    long = Sampling(max_tokens=400)
    async with asyncio.timeout(LIMIT_S):
        with pool_of(settings=settings) as pool:
            model = pool.model(growing)
            requests = [asyncio.create_task(model.complete(Prompt(text="hi"), long))]
            while len(grown := await pool.infos(growing)) < 2:
                if sum(not request.done() for request in requests) < 3:
                    requests.append(asyncio.create_task(model.complete(Prompt(text="hi"), long)))
                await asyncio.sleep(0.1)
            replies = await asyncio.gather(*requests)
            assert {reply[0].text for reply in replies} == {"hi"}
            while len(left := await pool.infos(growing)) > 1:
                await asyncio.sleep(0.1)
            assert left[0]["pid"] == grown[0]["pid"]
            await until(lambda: not psutil.pid_exists(int(grown[1]["pid"])))
            assert await model.complete(Prompt(text="hi"), SHORT)


async def test_an_engine_that_cannot_sleep_ends_when_others_reside(config: EngineConfig) -> None:
    other = changed(config, max_batch_size=8)
    with pool_of() as pool:
        pid = int((await pool.model(config).info())["pid"])
        await pool.reside([other])
        await until(lambda: not psutil.pid_exists(pid))
        assert pool.running == []
        assert await pool.model(other).complete(Prompt(text="hi"), SHORT)
        assert pool.running == [other]


async def test_an_engine_that_can_sleep_keeps_its_process(config: EngineConfig) -> None:
    other = changed(config, max_batch_size=8)
    with pool_of(SleepyActor) as pool:
        model = pool.model(config)
        before = await model.info()
        await pool.reside([other])
        assert await pool.infos(config) == []
        (reply,) = await model.complete(Prompt(text="good morning"), SHORT)
        after = await model.info()
        assert reply.text == "good morning"
        assert (after["pid"], after["naps"]) == (before["pid"], 1)
        await pool.reside([])
        await until(lambda: not psutil.pid_exists(int(before["pid"])))


async def test_an_engine_that_dies_loading_is_one_error_with_its_last_words(
    config: EngineConfig,
) -> None:
    with pool_of(StillbornActor) as pool:
        model = pool.model(config)
        found = await asyncio.gather(
            *(model.complete(Prompt(text=f"{n}"), SHORT) for n in range(3)), return_exceptions=True
        )
    assert {type(error) for error in found} == {EngineStartError}
    (said,) = {str(error) for error in found}
    assert "died 3 times" in said
    assert "the driver is too old for this library" in said


async def test_what_can_never_fit_is_refused(config: EngineConfig) -> None:
    with pool_of() as pool:
        with pytest.raises(ModelFilesError, match="needs 1000 CPU"):
            await pool.model(changed(config, replicas=1000)).info()
        assert pool.running == []


DRIVER = """
import asyncio, json, sys
import psutil
from infra.engines import EngineConfig
from infra.hosting.ray_host import ModelPool
from tasks.ports import Prompt, Sampling
from tests.odd_actors import EchoActor

pool = ModelPool(actor_class=EchoActor)
config = EngineConfig.model_validate_json(sys.argv[1])
asyncio.run(pool.model(config).complete(Prompt(text="hi"), Sampling(max_tokens=4)))
infos = asyncio.run(pool.infos(config))
started = [child.pid for child in psutil.Process().children(recursive=True)]
print(json.dumps({"engine": infos[0]["pid"], "started": started}), flush=True)
if sys.argv[2] == "tidy":
    pool.close()
    stop_ray()
else:
    sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["tidy", "kill -9"])
def test_no_process_is_left(config: EngineConfig, end: str) -> None:
    command = [sys.executable, "-c", DRIVER, config.model_dump_json(), end]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as driver:
        assert driver.stdout is not None
        said = json.loads(driver.stdout.readline())
        if end != "tidy":
            driver.kill()
        driver.wait(timeout=LIMIT_S)
    assert said["engine"] in said["started"]
    deadline = time.monotonic() + 30
    while (left := still_there(said["started"])) and time.monotonic() < deadline:
        time.sleep(0.2)
    # Two small agents of Ray's look for their parent once a minute only.
    agents = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"} if end != "tidy" else set()
    assert left - agents == set()


def still_there(pids: list[int]) -> set[str]:
    """Titles of those processes that have not ended."""
    found = set()
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                found.add(" ".join(process.cmdline()).strip())
    return found
