"""Pools over replicas that live in a coroutine: laziness, death, poison, sleep, growth, closing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pytest

from infra.engines import EngineBrokenError, EngineConfig, EngineStartError, ModelFilesError
from infra.hosting.pools import Pools, RemoteModel
from infra.hosting.replicas import ReplicaLostError
from infra.settings import Settings
from tasks.ports import PermanentError, Prompt, Sampling, TransientError
from tests.fakes import completion

CONFIG = EngineConfig(model="one", max_in_flight=4)
OTHER = EngineConfig(model="two", max_in_flight=4)
ANSWER = Sampling()


@dataclass(eq=False)
class CoroutineReplica:
    """Answers with the prompt's text. "poison" kills it; "hold" waits for the host's gate."""

    host: CoroutineHost
    config: EngineConfig
    number: int
    is_dead: bool = False
    is_asleep: bool = False
    answered: int = 0
    signs_of_life: int = 0
    died: asyncio.Event = field(default_factory=asyncio.Event)

    async def load(self) -> None:
        await asyncio.sleep(0)
        self.is_asleep = False
        fault = self.host.loading(self) if self.host.loading else None
        if fault is not None:
            raise fault

    async def call(self, method: str, *arguments: Any) -> Any:
        if method == "info":
            return {"number": self.number, "answered": self.answered}
        assert not self.is_asleep
        text = arguments[0].text
        self.host.asked[text] += 1
        work = asyncio.create_task(self._work(text))
        death = asyncio.create_task(self.died.wait())
        await asyncio.wait({work, death}, return_when=asyncio.FIRST_COMPLETED)
        if self.is_dead:
            work.cancel()
            raise ReplicaLostError("its process is gone")
        death.cancel()
        return await work

    async def _work(self, text: str) -> Any:
        await asyncio.sleep(0)
        if text.startswith("hold"):
            await self.host.gate.wait()
        if text.startswith("poison"):
            self.die()
        if text.startswith("broken") and self.host.asked[text] < 2:
            raise EngineBrokenError("the core died")
        if text.startswith("refused"):
            raise PermanentError("refused", "too long")
        self.answered += 1
        return [completion(text)]

    def die(self) -> None:
        self.is_dead = True
        self.host.deaths += 1
        self.died.set()

    async def diagnose(self, loss: Exception) -> tuple[str, bool]:
        return str(loss), self.host.is_explained

    async def sleep(self) -> bool:
        self.is_asleep = self.host.can_sleep
        return self.is_asleep

    async def end(self) -> None:
        if self in self.host.replicas:
            self.host.replicas.remove(self)

    async def leave(self) -> None:
        await self.end()

    def touch(self) -> None:
        self.signs_of_life += 1


@dataclass
class CoroutineHost:
    """A ReplicaHost without processes."""

    loading: Callable[[CoroutineReplica], Exception | None] | None = None
    preparing: Exception | None = None
    is_explained: bool = False
    can_sleep: bool = False
    replicas: list[CoroutineReplica] = field(default_factory=list)
    started: int = 0
    deaths: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    room: set[EngineConfig] = field(default_factory=set)

    async def prepare(self, config: EngineConfig) -> None:
        if self.preparing is not None:
            raise self.preparing
        self.room.add(config)

    def release(self, config: EngineConfig) -> None:
        self.room.discard(config)

    async def has_room(self, config: EngineConfig) -> bool:
        return len(self.replicas) < 3

    def start(self, config: EngineConfig, number: int) -> CoroutineReplica:
        self.started += 1
        replica = CoroutineReplica(self, config, number)
        self.replicas.append(replica)
        return replica


@pytest.fixture
def host() -> CoroutineHost:
    return CoroutineHost()


@pytest.fixture
async def pools(host: CoroutineHost) -> AsyncIterator[Pools]:
    made = Pools(host, Settings(scale_up_after_s=0.1, scale_down_after_s=0.1), tick_s=0.02)
    yield made
    await asyncio.to_thread(made.close)
    assert host.replicas == []
    assert host.room == set()


def open_gate(pools: Pools, host: CoroutineHost) -> None:
    """From the test's thread: the gate belongs to the pools' loop."""
    assert pools._loop is not None
    pools._loop.call_soon_threadsafe(host.gate.set)


async def ask(model: RemoteModel, text: str) -> str:
    (reply,) = await model.complete(Prompt(text=text), ANSWER)
    return reply.text


async def outcomes(model: RemoteModel, texts: list[str]) -> list[str]:
    """Each answer, or the reason for which there is none."""
    found = await asyncio.gather(*(ask(model, text) for text in texts), return_exceptions=True)
    return [f.reason if isinstance(f, PermanentError) else str(f) for f in found]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_replicas_start_with_the_first_request(pools: Pools, host: CoroutineHost) -> None:
    two = CONFIG.model_copy(update={"replicas": 2})
    model, twin = pools.model(two), pools.model(two.model_copy())
    assert (host.started, pools.running) == (0, [])
    assert await asyncio.gather(ask(model, "a"), ask(twin, "b")) == ["a", "b"]
    assert (host.started, pools.running) == (2, [two])


def test_one_pool_serves_many_threads_and_loops(host: CoroutineHost) -> None:
    pools = Pools(host, Settings())

    async def many(start: int) -> list[str]:
        return await outcomes(pools.model(CONFIG), [str(start + n) for n in range(50)])

    async def threads() -> list[list[str]]:
        starts = range(0, 400, 50)
        return await asyncio.gather(
            *(asyncio.to_thread(asyncio.run, many(start)) for start in starts)
        )

    assert list(chain(*asyncio.run(threads()))) == [str(n) for n in range(400)]
    assert host.started == 1
    pools.close()
    assert host.replicas == []


async def test_more_than_the_limit_waits_here(pools: Pools, host: CoroutineHost) -> None:
    model = pools.model(CONFIG)
    texts = [f"hold {n}" for n in range(10)]
    waiting = asyncio.gather(*(ask(model, text) for text in texts))
    await until(lambda: len(host.asked) >= 4)
    assert (await model.info())["answered"] == 0
    assert sorted(host.asked) == texts[:4]
    open_gate(pools, host)
    assert await waiting == texts


async def test_a_cancelled_request_makes_room(pools: Pools, host: CoroutineHost) -> None:
    model = pools.model(CONFIG)
    held = [asyncio.create_task(ask(model, f"hold {n}")) for n in range(8)]
    await until(lambda: len(host.asked) == 4)
    for task in held:
        task.cancel()
    assert await ask(model, "next") == "next"


@pytest.mark.parametrize("replicas", [1, 3])
async def test_poison_is_refused_and_all_others_are_answered(
    pools: Pools, host: CoroutineHost, replicas: int
) -> None:
    config = CONFIG.model_copy(update={"replicas": replicas, "max_in_flight": 9})
    texts = [f"innocent {n}" for n in range(30)]
    texts[7:7] = ["poison a"]
    texts[20:20] = ["poison b"]
    found = await outcomes(pools.model(config), texts)
    assert found == ["poison" if "poison" in text else text for text in texts]
    assert {text: host.asked[text] for text in texts if "poison" in text} == {
        "poison a": 3, "poison b": 3,
    }  # fmt: skip
    deaths = host.deaths
    assert await outcomes(pools.model(config), ["poison a", "late"]) == ["poison", "late"]
    assert host.deaths == deaths


async def test_poison_says_what_it_did(pools: Pools) -> None:
    with pytest.raises(PermanentError, match="killed the engine of one three times"):
        await ask(pools.model(CONFIG), "poison")


async def test_a_death_with_another_cause_blames_nobody(pools: Pools, host: CoroutineHost) -> None:
    host.is_explained = True
    model = pools.model(CONFIG)
    asking = asyncio.gather(*(ask(model, f"hold {n}") for n in range(4)))
    for count in range(1, 6):
        await until(lambda count=count: host.asked["hold 0"] == count)  # type: ignore[misc]
        assert pools._loop is not None
        pools._loop.call_soon_threadsafe(host.replicas[0].die)
    open_gate(pools, host)
    assert await asking == [f"hold {n}" for n in range(4)]


async def test_a_request_is_not_sent_for_ever(pools: Pools, host: CoroutineHost) -> None:
    host.is_explained = True
    with pytest.raises(TransientError, match="10 engines of one were lost"):
        await ask(pools.model(CONFIG), "poison")


async def test_an_engine_that_calls_itself_broken_is_replaced(
    pools: Pools, host: CoroutineHost
) -> None:
    assert await outcomes(pools.model(CONFIG), ["broken", "hi"]) == ["broken", "hi"]
    assert host.started == 2


async def test_a_refusal_arrives_as_itself(pools: Pools) -> None:
    assert await outcomes(pools.model(CONFIG), ["refused", "hi"]) == ["refused", "hi"]


async def test_an_engine_that_cannot_load_stops_everybody(
    pools: Pools, host: CoroutineHost
) -> None:
    host.loading = lambda replica: ModelFilesError("no GPU here")
    model = pools.model(CONFIG.model_copy(update={"replicas": 2}))
    assert await outcomes(model, ["a", "b"]) == ["no GPU here"] * 2
    started = host.started
    with pytest.raises(ModelFilesError):
        await ask(model, "c")
    assert (host.started, pools.running) == (started, [])


async def test_an_engine_that_dies_loading_is_tried_three_times(
    pools: Pools, host: CoroutineHost
) -> None:
    host.loading = lambda replica: ReplicaLostError("killed: out of memory")
    with pytest.raises(EngineStartError, match="died 3 times loading: killed: out of memory"):
        await ask(pools.model(CONFIG), "a")
    assert host.started == 3


async def test_one_that_loads_the_second_time_works(pools: Pools, host: CoroutineHost) -> None:
    host.loading = lambda replica: ReplicaLostError("gone") if host.started < 2 else None
    assert await ask(pools.model(CONFIG), "a") == "a"


async def test_one_replica_that_cannot_load_does_not_stop_the_other(
    pools: Pools, host: CoroutineHost
) -> None:
    host.loading = lambda replica: ModelFilesError("bad GPU") if replica.number else None
    model = pools.model(CONFIG.model_copy(update={"replicas": 2}))
    assert await outcomes(model, ["a", "b"]) == ["a", "b"]


async def test_a_host_that_is_busy_may_be_asked_again(pools: Pools, host: CoroutineHost) -> None:
    host.preparing = TransientError("Ray did not start")
    with pytest.raises(TransientError, match="did not start"):
        await ask(pools.model(CONFIG), "a")
    host.preparing = None
    assert await ask(pools.model(CONFIG), "a") == "a"


async def test_who_is_not_asked_ends_after_the_last_answer(
    pools: Pools, host: CoroutineHost
) -> None:
    one, two = pools.model(CONFIG), pools.model(OTHER)
    await ask(two, "hi")
    held = asyncio.create_task(ask(one, "hold"))
    await until(lambda: host.asked["hold"] == 1)
    leaving = asyncio.create_task(pools.reside([OTHER]))
    await ask(two, "meanwhile")
    assert {replica.config for replica in host.replicas} == {CONFIG, OTHER}
    open_gate(pools, host)
    assert await held == "hold"
    await leaving
    assert pools.running == [OTHER]
    assert await ask(one, "again") == "again"
    assert host.started == 3


async def test_who_can_sleep_sleeps_until_it_is_asked(pools: Pools, host: CoroutineHost) -> None:
    host.can_sleep = True
    await ask(pools.model(CONFIG), "hi")
    await pools.reside([OTHER])
    assert [replica.is_asleep for replica in host.replicas] == [True]
    assert await ask(pools.model(CONFIG), "morning") == "morning"
    assert host.started == 1
    await pools.reside([])
    assert (host.replicas, pools.running) == ([], [])


async def test_a_sleeper_that_died_is_replaced(pools: Pools, host: CoroutineHost) -> None:
    host.can_sleep = True
    await ask(pools.model(CONFIG), "hi")
    await pools.reside([OTHER])
    sleeper = host.replicas[0]
    host.loading = lambda replica: ReplicaLostError("gone") if replica is sleeper else None
    assert await ask(pools.model(CONFIG), "morning") == "morning"
    assert host.started == 2


async def test_a_pool_grows_while_requests_wait_and_shrinks_when_idle(
    pools: Pools, host: CoroutineHost
) -> None:
    config = EngineConfig(model="one", max_in_flight=1, replicas=1, max_replicas=5)
    asking = asyncio.gather(*(ask(pools.model(config), f"hold {n}") for n in range(9)))
    await until(lambda: len(host.asked) == 3)  # for more the host has no room
    open_gate(pools, host)
    await asking
    await until(lambda: len(host.replicas) == 1)
    assert await ask(pools.model(config), "hi") == "hi"


async def test_those_there_are_told_that_they_are_wanted(pools: Pools, host: CoroutineHost) -> None:
    """Awake or asleep, asked or not: they end by themselves where nobody says so."""
    host.can_sleep = True
    await ask(pools.model(CONFIG), "hi")
    await pools.reside([OTHER])
    await ask(pools.model(OTHER), "hi")
    asleep, awake = host.replicas
    before = [asleep.signs_of_life, awake.signs_of_life]
    await until(lambda: asleep.signs_of_life > before[0] and awake.signs_of_life > before[1])
    assert (asleep.is_asleep, awake.is_asleep) == (True, False)


async def test_closing_fails_what_still_waits(host: CoroutineHost) -> None:
    pools = Pools(host, Settings())
    asking = asyncio.gather(
        *(ask(pools.model(CONFIG), f"hold {n}") for n in range(8)), return_exceptions=True
    )
    await until(lambda: len(host.asked) == 4)
    await asyncio.to_thread(pools.close)
    assert all(isinstance(found, BaseException) for found in await asking)
    assert host.replicas == []
