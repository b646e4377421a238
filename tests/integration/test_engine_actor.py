"""Engines in real Ray actors: laziness, sharing, errors that arrive as themselves, death."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import psutil
import pytest
import ray

from infra.engines import EngineConfig, ModelFilesError
from infra.engines.token_counter import TokenizerCounter
from infra.hosting import ray_replica
from infra.hosting.ray_cluster import start_ray, stop_ray
from infra.hosting.ray_host import ModelPool
from infra.hosting.ray_replica import RayReplica
from tasks.ports import PermanentError, Prompt, Sampling, ScoreRequest
from tests.odd_actors import TellingActor, save_empty_model
from tests.planted_keys import KEYS, MARK, NEEDED
from tests.tiny_models import save_tiny_model

SHORT = Sampling(max_tokens=3, temperature=1.0, num_candidates=2)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> EngineConfig:
    folder = save_tiny_model(tmp_path_factory.mktemp("tiny"))
    return EngineConfig(model=str(folder), dtype="float64", threads=1)


@pytest.fixture(scope="module")
def pool(config: EngineConfig) -> Iterator[ModelPool]:
    """In a Ray that starts with keys in its environment."""
    pool = ModelPool()
    with patch.dict(os.environ, {**KEYS, **NEEDED}):
        yield pool
        pool.close()
        stop_ray()


async def test_nothing_starts_before_it_is_asked(pool: ModelPool, config: EngineConfig) -> None:
    model = pool.model(config)
    assert (model.name, model.engine) == (config.model, "transformers")
    assert pool.running == []
    assert not ray.is_initialized()


async def test_a_missing_model_starts_nothing(pool: ModelPool, tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError):
        await pool.model(EngineConfig(model=str(tmp_path / "none"))).info()
    assert pool.running == []


async def test_roles_with_one_configuration_share_an_actor(
    pool: ModelPool, config: EngineConfig
) -> None:
    teacher, judge = pool.model(config), pool.model(config.model_copy())
    one, other = await asyncio.gather(
        teacher.complete(Prompt(text="hi"), SHORT), judge.complete(Prompt(text="hi"), SHORT)
    )
    assert [c.text for c in one] == [c.text for c in other]
    assert pool.running == [config]
    assert (await judge.info())["generated_tokens"] == 12


async def test_scores_and_counts_come_over(pool: ModelPool, config: EngineConfig) -> None:
    model = pool.model(config)
    (scores,) = await model.score(ScoreRequest(prompt=None, targets=("3 + 4",)))
    text = "3 + 4 <|im_end|>"
    (count,) = await model.count_many([text])
    assert count == TokenizerCounter(config.model).count(text)
    assert len(scores.logprobs) == (await model.count_many(["3 + 4"]))[0]


async def test_an_engines_process_has_no_key(pool: ModelPool, tmp_path: Path) -> None:
    """Ray's workers have the environment of Ray's daemon, and so of the driver that started it."""
    telling = ModelPool(actor_class=TellingActor)
    info = await telling.model(EngineConfig(model=str(save_empty_model(tmp_path)))).info()
    environment = dict(info["environment"])  # type: ignore[call-overload]
    daemon = psutil.Process(int(info["pid"])).parent()
    telling.close()
    assert daemon is not None
    assert daemon.environ()["OPENAI_API_KEY"] == KEYS["OPENAI_API_KEY"]  # it was there to be had
    assert {name for name, value in environment.items() if MARK in value} == set()
    assert MARK not in str(info["first"])
    assert NEEDED.items() <= environment.items()
    assert environment["OMP_NUM_THREADS"]


async def test_a_refusal_arrives_as_itself(pool: ModelPool, config: EngineConfig) -> None:
    with pytest.raises(PermanentError) as caught:
        await pool.model(config).complete(Prompt(text="3" * 5000), SHORT)
    assert type(caught.value) is PermanentError
    assert caught.value.reason == "prompt_too_long"


def test_a_pool_serves_one_event_loop_after_another(pool: ModelPool, config: EngineConfig) -> None:
    """A Prefect task runs its coroutine in a loop of its own."""
    for _ in range(2):
        assert asyncio.run(pool.model(config).complete(Prompt(text="hi"), SHORT))


async def test_kill_9_costs_nobody_an_answer(pool: ModelPool, config: EngineConfig) -> None:
    model = pool.model(config)
    before = await model.complete(Prompt(text="hi"), SHORT)
    info = await model.info()
    long = Sampling(max_tokens=1000, num_candidates=4)
    in_flight = asyncio.create_task(model.complete(Prompt(text="hi"), long))
    async with asyncio.timeout(120):
        while (await model.info())["generated_tokens"] == info["generated_tokens"]:
            await asyncio.sleep(0)
    os.kill(int(info["pid"]), signal.SIGKILL)
    after = await model.complete(Prompt(text="hi"), SHORT)
    assert [c.text for c in after] == [c.text for c in before]
    assert len(await in_flight) == 4
    assert (await model.info())["pid"] != info["pid"]


class RecordingActor:
    """What RayReplica asks of Ray's actor, without Ray: methods with `remote`."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def remote() -> asyncio.Future[None]:
            self.asked.append(name)
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done

        return SimpleNamespace(remote=remote)


@pytest.mark.parametrize("keep_warm_s", [0, 30])
async def test_a_driver_keeps_its_warm_engines_from_ending(
    keep_warm_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticks come every second; a sign of life goes out well within what an engine waits for."""
    now = 0.0
    monkeypatch.setattr(ray_replica.time, "monotonic", lambda: now)
    actor = RecordingActor()
    replica = RayReplica(actor, "m", {"num_cpus": 1, "num_gpus": 0}, keep_warm_s)
    signs = []
    for second in range(1, 121):
        now = float(second)
        replica.touch()
        signs += [now] * (len(actor.asked) - len(signs))
    assert set(actor.asked) == ({"touch"} if keep_warm_s else set())
    gaps = [after - before for before, after in itertools.pairwise([0.0, *signs, now])]
    assert max(gaps) <= keep_warm_s / 2 or not keep_warm_s
    assert len(signs) <= 12


@pytest.mark.parametrize(("keep_warm_s", "asked"), [(0, ["close"]), (30, [])])
async def test_a_driver_that_goes_ends_engines_unless_they_stay_warm(
    keep_warm_s: float, asked: list[str]
) -> None:
    actor = RecordingActor()
    await RayReplica(actor, "m", {"num_cpus": 1, "num_gpus": 0}, keep_warm_s).leave()
    assert actor.asked == asked


def test_starting_twice_is_starting_once(pool: ModelPool) -> None:
    start_ray()
    start_ray()
    assert ray.is_initialized()


def test_ray_starts_without_a_word_and_swallows_nobody_elses() -> None:
    code = """
import os
note = b"[2026-11-21 13:01:54,829 W 13392 13518] network_util.cc:330: no way to 8.8.8.8\\n"
from infra.hosting import ray_cluster as actors
start = actors._join_or_start
actors._join_or_start = lambda *given: (os.write(2, note + b'a fault\\n'), start(*given))
actors.start_ray()
actors.stop_ray()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "a fault\n")
