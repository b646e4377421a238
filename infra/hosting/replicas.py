"""What a pool knows of its engines: Protocols only.

infra.hosting.ray_replica has the real ones; the unit tests have small ones that live in a
coroutine.
"""

from __future__ import annotations

from typing import Any, Protocol

from infra.engines import EngineConfig


class ReplicaLostError(Exception):
    """The process that hosted the replica is gone, or cannot be reached."""


class Replica(Protocol):
    """One engine, somewhere."""

    async def load(self) -> None:
        """Load the model, or find it loaded. Raises ReplicaLostError and what loading raises."""
        ...

    async def call(self, method: str, *arguments: Any) -> Any:
        """Ask the engine. Raises ReplicaLostError and what the engine raises."""
        ...

    async def diagnose(self, loss: Exception) -> tuple[str, bool]:
        """Why it was lost, in one line; and whether that is certain to be no request's doing."""
        ...

    async def sleep(self) -> bool:
        """Free its GPU until `load`; False where it cannot."""
        ...

    async def end(self) -> None:
        """End its process."""
        ...

    async def leave(self) -> None:
        """This driver goes: end the process, unless it is to stay warm."""
        ...

    def touch(self) -> None:
        """Still wanted."""
        ...


class ReplicaHost(Protocol):
    """Where replicas run."""

    async def prepare(self, config: EngineConfig) -> None:
        """Take room for the pool. Raises ModelFilesError (bound to fail), TransientError."""
        ...

    def release(self, config: EngineConfig) -> None:
        """Give the room back."""
        ...

    async def has_room(self, config: EngineConfig) -> bool:
        """One more replica would fit now."""
        ...

    def start(self, config: EngineConfig, number: int) -> Replica: ...
