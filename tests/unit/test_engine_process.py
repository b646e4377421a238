"""An engine's process by its own clock: it ends when nobody has wanted it for long, not before.

The loop's clock jumps to whatever is waited for next, so an hour passes at once.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from infra.engines import Engine, EngineConfig
from infra.engines.engine import EngineInfo
from infra.hosting import process
from infra.hosting.process import EngineProcess
from tasks.ports import Completion, Prompt, Sampling, ScoreRequest, TokenScores
from tests.fakes import completion

KEEP_WARM_S = 60.0
CONFIG = EngineConfig(model="one")


class JumpingSelector(selectors.DefaultSelector):
    """Where the loop would wait for a time, that time has passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if found := super().select(0 if timeout is not None else None):
            return found
        self.now += timeout or 0.0
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock never waits; what would go to a thread is done at once."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        done = self.create_future()
        done.set_result(func(*args))
        return done


class SlowEngine:
    """An Engine that takes as many seconds as it is asked for tokens."""

    is_closed = False

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        await asyncio.sleep(sampling.max_tokens)
        return [completion(prompt.text)]

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        raise NotImplementedError("this model only writes")

    def count(self, text: str) -> int:
        return len(text)

    def info(self) -> EngineInfo:
        return {}

    def close(self) -> None:
        self.is_closed = True


class Watched(EngineProcess):
    """Notes when it ends instead of ending."""

    ended_at: float | None = None
    engine = SlowEngine()

    def open(self) -> Engine:
        return self.engine

    async def end_process(self) -> None:
        self.ended_at = asyncio.get_running_loop().time()


Story = Callable[[Watched], Coroutine[Any, Any, None]]


@pytest.fixture
def ended_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[float | None, bool]]:
    """When the process ends that lives through a story of at most an hour; is its engine closed?"""
    loop = JumpingLoop()
    monkeypatch.setattr(process.time, "monotonic", loop.time)

    def live(story: Story, *, keep_warm_s: float = KEEP_WARM_S) -> tuple[float | None, bool]:
        async def life() -> tuple[float | None, bool]:
            one = Watched(CONFIG, keep_warm_s)
            one.engine = SlowEngine()
            one.watch_idleness()
            await one.load()
            await story(one)
            await asyncio.sleep(3600)
            return one.ended_at, one.engine.is_closed

        return loop.run_until_complete(life())

    yield live
    loop.close()


async def nothing(one: Watched) -> None: ...


def test_it_ends_when_nobody_has_asked_for_so_long(ended_at: Any) -> None:
    assert ended_at(nothing) == (pytest.approx(KEEP_WARM_S, abs=1), True)


def test_without_a_limit_it_stays(ended_at: Any) -> None:
    assert ended_at(nothing, keep_warm_s=0) == (None, False)


def test_who_is_asked_stays_warm_from_then_on(ended_at: Any) -> None:
    async def story(one: Watched) -> None:
        for _ in range(10):
            await asyncio.sleep(KEEP_WARM_S - 10)
            await one.complete(Prompt(text="hi"), Sampling(max_tokens=1))

    at, is_closed = ended_at(story)
    assert at == pytest.approx(10 * (KEEP_WARM_S - 9) + KEEP_WARM_S, abs=2)
    assert is_closed


def test_a_driver_that_says_it_is_there_keeps_it_warm(ended_at: Any) -> None:
    async def story(one: Watched) -> None:
        for _ in range(10):
            await asyncio.sleep(KEEP_WARM_S - 10)
            await one.touch()

    at, _ = ended_at(story)
    assert at == pytest.approx(10 * (KEEP_WARM_S - 10) + KEEP_WARM_S, abs=2)


def test_a_request_may_take_longer_than_that(ended_at: Any) -> None:
    """It does not end under the request, and the idle time begins when that is answered."""

    async def story(one: Watched) -> None:
        (reply,) = await one.complete(Prompt(text="hi"), Sampling(max_tokens=int(5 * KEEP_WARM_S)))
        assert reply.text == "hi"
        assert one.ended_at is None

    at, _ = ended_at(story)
    assert 6 * KEEP_WARM_S - 1 <= at <= 7 * KEEP_WARM_S


def test_one_watch_is_enough(ended_at: Any) -> None:
    async def story(one: Watched) -> None:
        before = one._watch
        one.watch_idleness()
        assert one._watch is before

    ended_at(story)
