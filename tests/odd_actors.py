"""Engine actors that die, sleep or cannot load: subclasses of the real one, for real processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from infra.engines import Engine, EngineConfig
from infra.engines.engine import EngineInfo
from infra.hosting.ray_replica import EngineActor
from tasks.ports import Completion, Prompt, Sampling, ScoreRequest, TokenScores
from tests.fakes import completion

DEADLY = "deadly for "  # and a file that gets a line a death


class MortalActor(EngineActor):
    """A prompt that begins with DEADLY ends the process."""

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        if prompt.text.startswith(DEADLY):
            with Path(prompt.text.removeprefix(DEADLY)).open("a", encoding="utf-8") as file:
                file.write("died\n")
            os._exit(1)
        return await super().complete(prompt, sampling)


class StillbornActor(EngineActor):
    """Dies while it loads, after a last word."""

    def open(self) -> Engine:
        print("the driver is too old for this library", file=sys.stderr, flush=True)
        os._exit(7)


class SleepyEngine:
    """An engine without a model that can sleep."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._naps = 0
        self._is_asleep = False

    async def sleep(self) -> bool:
        self._naps += 1
        self._is_asleep = True
        return True

    async def wake(self) -> None:
        self._is_asleep = False

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        assert not self._is_asleep
        return [completion(prompt.text)]

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        raise NotImplementedError("this model only writes")

    def count(self, text: str) -> int:
        return len(text.split())

    def info(self) -> EngineInfo:
        return {"model": self._config.model, "naps": self._naps, "asleep": self._is_asleep}

    def close(self) -> None: ...


class SleepyActor(EngineActor):
    """Hosts a SleepyEngine."""

    def open(self) -> Engine:
        return SleepyEngine(self._config)
