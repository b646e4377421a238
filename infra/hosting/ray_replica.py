"""A replica as an actor of Ray: the process with the engine, and its driver's side.

Role: the Replica of infra/hosting/replicas.py. Invariant: an error raised in the actor arrives here
as itself; the death of an actor says why, with the last lines its process wrote.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayError, RayTaskError

from infra.engines import (
    EngineBrokenError,
)
from infra.engines.engine import EngineInfo
from infra.hosting.process import EngineProcess, error_file
from infra.hosting.replicas import ReplicaLostError

END_LIMIT_S = 10.0  # for an engine to close in good order

SILENCE_LIMIT_S = 60  # of an actor that cannot be reached

LONG_START_S = 60.0

LOG_TAIL_LINES = 5

_log = logging.getLogger(__name__)


class EngineActor(EngineProcess):
    """An engine's process as an actor of Ray."""

    async def where(self) -> dict[str, str]:
        """Ray's node, and the file that this process' errors go to. Comes first."""
        self.watch_idleness()
        return {"node": ray.get_runtime_context().get_node_id(), "log": error_file()}

    async def info(self) -> EngineInfo:
        """See EngineProcess; and on which of Ray's nodes it is."""
        return {**await super().info(), "node": ray.get_runtime_context().get_node_id()}

    async def end_process(self) -> None:
        """No death to be explained: its name is free at once."""
        ray.kill(ray.get_runtime_context().current_actor)


class RayReplica:
    """A Replica (infra.hosting.replicas): one actor, seen from the driver."""

    def __init__(self, actor: Any, model: str, options: dict[str, Any], keep_warm_s: float) -> None:
        self._actor = actor
        self._model = model
        self._options = options
        self._keep_warm_s = keep_warm_s
        self._touched_at = time.monotonic()
        self._where: dict[str, str] = {}

    async def load(self) -> None:
        """See Replica."""
        placing = asyncio.ensure_future(self.call("where"))
        done, _ = await asyncio.wait({placing}, timeout=LONG_START_S)
        if not done:
            wants = {name: self._options[name] for name in ("num_cpus", "num_gpus")}
            _log.warning("an engine of %s still waits for room in the Ray cluster: it wants %s",
                         self._model, wants)  # fmt: skip
        self._where = await placing
        await self.call("load")

    async def call(self, method: str, *arguments: Any) -> Any:
        """See Replica."""
        reply = getattr(self._actor, method).remote(*arguments)
        try:
            return await reply
        except asyncio.CancelledError:
            ray.cancel(reply)
            raise
        except RayTaskError as error:
            raise error.cause from None
        except RayError as error:
            raise ReplicaLostError(_reason(error)) from error

    async def diagnose(self, loss: Exception) -> tuple[str, bool]:
        """See Replica. No request takes a node away or calls ray.kill."""
        if isinstance(loss, EngineBrokenError):
            return str(loss), False
        error = await self._last_word(loss.__cause__ or loss)
        reason = _reason(error)
        if isinstance(error, ActorUnavailableError) or "ray.kill" in reason:
            return reason, True
        if "node has died" in reason or await self._has_lost_its_node():
            return reason, True
        return f"{reason}{await asyncio.to_thread(self._log_tail)}", False

    async def sleep(self) -> bool:
        """See Replica. Ray takes no GPU back from an actor that sleeps on a whole one."""
        if self._options["num_gpus"] >= 1:
            return False
        with suppress(ReplicaLostError):
            return bool(await self.call("sleep"))
        return False

    async def end(self) -> None:
        """See Replica."""
        with suppress(Exception):
            async with asyncio.timeout(END_LIMIT_S):
                await self._actor.close.remote()
        with suppress(Exception):
            ray.kill(self._actor)

    async def leave(self) -> None:
        """See Replica."""
        if not self._keep_warm_s:
            await self.end()

    def touch(self) -> None:
        """See Replica."""
        now = time.monotonic()
        if self._keep_warm_s and now - self._touched_at > self._keep_warm_s / 3:
            self._touched_at = now
            self._actor.touch.remote()

    async def _last_word(self, error: BaseException) -> BaseException:
        """Ray says "unavailable" while it does not know yet whether an actor has died."""
        for _ in range(SILENCE_LIMIT_S):
            if not isinstance(error, ActorUnavailableError):
                break
            await asyncio.sleep(1)
            try:
                await self._actor.touch.remote()
            except RayError as later:
                error = later
            else:
                break  # it lives, its answers are lost
        return error

    async def _has_lost_its_node(self) -> bool:
        """A node that ends takes its actors along a moment before Ray says so."""
        for _ in range(2):
            nodes: list[dict[str, Any]] = await asyncio.to_thread(ray.nodes)
            if not any(n["Alive"] for n in nodes if n["NodeID"] == self._where.get("node")):
                return bool(self._where)
            await asyncio.sleep(1)
        return False

    def _log_tail(self) -> str:
        """What its process said last, where that is on this machine."""
        try:
            text = Path(self._where.get("log", "")).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        lines = [line for line in text.splitlines() if line and not line.startswith(":")]
        return "".join(f"\n  {line}" for line in lines[-LOG_TAIL_LINES:])


def _reason(error: BaseException) -> str:
    """The line of Ray's long message that says why."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return next((line.strip() for line in lines if " because " in line), lines[0])
