"""The replicas of one configuration: who starts, who is asked, and what happens when one dies.

Role: the life of a pool around the pure decisions of `dispatch` and `scaling`. It knows its
engines only as the Protocol Replica; infra.hosting.ray_replica has the one over Ray. Everything
here runs in one event loop (infra.hosting.pools), so nothing is locked.
Invariants: replicas start with the first request; a request gets one answer, however many engines
die under it; a request that kills an engine three times is refused as poison, and none that was
merely there; what stops every engine stops every request with one error.

A sample: `await EnginePool(config, host, settings).ask("complete", prompt, sampling)`
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Hashable
from typing import Any

from infra.engines import EngineConfig
from infra.engines.engine import EngineInfo
from infra.engines.errors import EngineBrokenError, EngineDied, EngineStartError
from infra.hosting.dispatch import Dispatch, Request
from infra.hosting.replicas import Replica, ReplicaHost, ReplicaLostError
from infra.hosting.scaling import START, Bounds, Pressure, decide
from infra.settings import Settings
from tasks.ports import PermanentError, TransientError

MAX_LOSSES = 10  # engines lost under one request that is not to blame
MAX_STARTS = 3  # deaths while loading, one after another
RESTART_PAUSE_S = 1.0

_log = logging.getLogger(__name__)


class EnginePool:
    """See the module."""

    def __init__(self, config: EngineConfig, host: ReplicaHost, settings: Settings) -> None:
        self._config = config
        self._host = host
        self._bounds = Bounds(
            minimum=config.replicas,
            maximum=config.max_replicas or config.replicas,
            up_after_s=settings.scale_up_after_s,
            down_after_s=settings.scale_down_after_s,
        )
        self._dispatch = Dispatch(config.max_in_flight)
        self._numbers = set(range(config.replicas))  # of replicas there should be
        self._live: dict[int, Replica] = {}
        self._asleep: dict[int, Replica] = {}
        self._starting: dict[int, asyncio.Task[None]] = {}
        self._losses: dict[Replica, asyncio.Task[None]] = {}
        self._turns: dict[Request, asyncio.Future[tuple[int, Replica]]] = {}
        self._room = asyncio.Lock()
        self._has_room = self._is_resting = self._is_closed = False
        self._failure: Exception | None = None
        self._ready_at = 0.0
        self._drained = asyncio.Event()

    @property
    def is_running(self) -> bool:
        """Replicas are there or on their way."""
        return bool(self._live or self._asleep or self._starting)

    async def ask(self, method: str, *arguments: Any, affinity: str = "") -> Any:
        """An engine's answer. Raises what the engine raises, PermanentError for poison, EngineDied,
        and what keeps every engine from starting."""
        key = (method, *arguments)
        for _ in range(MAX_LOSSES):
            request = Request(key=key, affinity=affinity)
            number, replica = await self._turn(request)
            is_cleared = True
            try:
                return await replica.call(method, *arguments)
            except (ReplicaLostError, EngineBrokenError) as lost:
                is_cleared = False
                await self._lose(number, replica, lost)
            except asyncio.CancelledError:
                is_cleared = False
                raise
            finally:
                self._leave(request, is_cleared=is_cleared)
        raise EngineDied(f"{MAX_LOSSES} engines of {self._config.model} were lost, one by one")

    async def infos(self) -> list[EngineInfo]:
        """Of every live replica, past the queue. Starts nothing."""
        replicas = [self._live[number] for number in sorted(self._live)]
        calls = (replica.call("info") for replica in replicas)
        found = await asyncio.gather(*calls, return_exceptions=True)
        return [info for info in found if not isinstance(info, BaseException)]  # lost ones left out

    async def tick(self) -> None:
        """Once a second: one replica more or less, and a sign of life to those that are there."""
        for replica in (*self._live.values(), *self._asleep.values()):
            replica.touch()
        if not self._live or self._is_resting:
            return
        step = decide(self._pressure(), self._bounds)
        if step == START and await self._host.has_room(self._config):
            self._numbers.add(min(set(range(len(self._numbers) + 1)) - self._numbers))
            self._fill()
        elif isinstance(step, int):
            self._numbers.discard(step)
            self._dispatch.remove(step)
            await self._live.pop(step).end()

    async def rest(self, *, may_sleep: bool) -> None:
        """Once nothing is in flight: to sleep, or end. The next request wakes or starts them."""
        while not self._dispatch.is_empty:
            await self._drained.wait()
        self._is_resting = True
        try:
            await self._stop_starting()
            replicas, self._live = self._live, {}
            for number in replicas:
                self._dispatch.remove(number)
            self._asleep |= replicas
            await asyncio.gather(
                *(self._put_to_rest(number, may_sleep) for number in list(self._asleep))
            )
        finally:
            self._is_resting = False
        if not self._asleep:
            self._give_room_back()
        if self._turns:
            self._fill()

    async def close(self) -> None:
        """This driver goes."""
        self._is_resting = self._is_closed = True
        await self._stop_starting()
        self._fail_waiting(EngineDied(f"the pool of {self._config.model} is closed"))
        for loss in self._losses.values():
            loss.cancel()
        replicas = [*self._live.values(), *self._asleep.values()]
        await asyncio.gather(*(replica.leave() for replica in replicas))
        self._live, self._asleep = {}, {}
        self._give_room_back()

    # Turns

    async def _turn(self, request: Request) -> tuple[int, Replica]:
        self._check(request)
        turn = self._turns[request] = asyncio.get_running_loop().create_future()
        self._dispatch.submit(request)
        self._drained.clear()
        self._fill()
        self._hand_out()
        try:
            granted: tuple[int, Replica] = await turn
        except BaseException:
            self._turns.pop(request, None)
            self._leave(request)
            raise
        return granted

    def _check(self, request: Request) -> None:
        if self._dispatch.suspects.is_poison(request.key):
            raise self._poison()
        if self._failure is not None:
            raise self._failure

    def _poison(self) -> PermanentError:
        return PermanentError(
            "poison", f"the request killed the engine of {self._config.model} three times"
        )

    def _hand_out(self) -> None:
        for request, number in self._dispatch.assign():
            turn = self._turns.pop(request)
            if not turn.done():
                turn.set_result((number, self._live[number]))

    def _leave(self, request: Request, *, is_cleared: bool = False) -> None:
        self._dispatch.leave(request, is_cleared=is_cleared)
        self._hand_out()
        if self._dispatch.is_empty:
            self._drained.set()

    # Lives

    def _fill(self) -> None:
        """Start, or wake, the replicas that should be there and are not."""
        if self._is_resting or self._failure is not None:
            return
        for number in sorted(self._numbers - self._live.keys() - self._starting.keys()):
            self._starting[number] = asyncio.create_task(self._bring_up(number))

    async def _bring_up(self, number: int) -> None:
        began, what = time.monotonic(), f"engine {number} of {self._config.model}"
        _log.info("%s starts", what)
        try:
            await self._take_room()
            replica = await self._loaded(number)
        except Exception as error:
            self._starting.pop(number)
            self._give_up(number, error)
            return
        self._starting.pop(number)
        self._live[number] = replica
        self._ready_at = time.monotonic()
        _log.info("%s is ready after %.0f s", what, self._ready_at - began)
        self._dispatch.add(number)
        self._hand_out()

    async def _take_room(self) -> None:
        async with self._room:
            if not self._has_room:
                await self._host.prepare(self._config)
                self._has_room = True

    def _give_room_back(self) -> None:
        if self._has_room:
            self._host.release(self._config)
            self._has_room = False

    async def _loaded(self, number: int) -> Replica:
        """Raises EngineStartError after MAX_STARTS deaths for which nothing else is to blame."""
        deaths = 0
        while True:
            replica = self._asleep.pop(number, None) or self._host.start(self._config, number)
            try:
                await replica.load()
            except (ReplicaLostError, EngineBrokenError) as lost:
                reason, is_explained = await replica.diagnose(lost)
                await replica.end()
            except BaseException:
                await asyncio.shield(replica.end())
                raise
            else:
                return replica
            deaths += not is_explained
            if deaths == MAX_STARTS:
                model = self._config.model
                raise EngineStartError(
                    f"the engine of {model} died {deaths} times loading: {reason}"
                )
            _log.warning("an engine of %s died while loading: %s", self._config.model, reason)
            if is_explained:
                await asyncio.sleep(RESTART_PAUSE_S)

    def _give_up(self, number: int, error: Exception) -> None:
        """A replica cannot start: that stops the pool, unless others of it work."""
        if self._live:
            _log.warning("going on with %d engines of %s: %s",
                         len(self._live), self._config.model, error)  # fmt: skip
            self._numbers.discard(number)
            return
        if self._starting:  # they will say the same, or do better
            return
        self._give_room_back()
        if isinstance(error, TransientError):
            _log.warning("no engine of %s could start yet: %s", self._config.model, error)
        else:
            self._failure = error
        self._numbers = set(range(self._config.replicas))
        self._fail_waiting(error)

    def _fail_waiting(self, error: Exception) -> None:
        turns, self._turns = self._turns, {}
        for request, turn in turns.items():
            self._dispatch.leave(request)
            if not turn.done():
                turn.set_exception(error)

    async def _lose(self, number: int, replica: Replica, loss: Exception) -> None:
        """Returns once it is known who is to blame; whoever was in flight there comes here."""
        if self._is_closed:
            raise EngineDied(f"the pool of {self._config.model} is closed")
        if replica not in self._losses:
            self._live.pop(number)
            inside = self._dispatch.remove(number)
            mourning = self._mourn(replica, loss, inside)
            self._losses[replica] = asyncio.create_task(mourning)
        await asyncio.shield(self._losses[replica])

    async def _mourn(self, replica: Replica, loss: Exception, inside: list[Hashable]) -> None:
        reason, is_explained = await replica.diagnose(loss)
        await replica.end()
        _log.warning("an engine of %s died under %d requests, which are sent again: %s",
                     self._config.model, len(inside), reason)  # fmt: skip
        if not is_explained:
            for request in self._dispatch.accuse(inside):
                if not (turn := self._turns.pop(request)).done():
                    turn.set_exception(self._poison())
        self._fill()

    async def _stop_starting(self) -> None:
        starting = list(self._starting.values())
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        self._starting.clear()

    async def _put_to_rest(self, number: int, may_sleep: bool) -> None:
        replica = self._asleep[number]
        if not (may_sleep and await replica.sleep()):
            del self._asleep[number]
            await replica.end()

    def _pressure(self) -> Pressure:
        waited_s = min(self._dispatch.waited_s, time.monotonic() - self._ready_at)
        return Pressure(
            num_replicas=len(self._numbers),
            num_starting=len(self._starting),
            waited_s=waited_s,
            idle_s=self._dispatch.idle_s(),
        )
