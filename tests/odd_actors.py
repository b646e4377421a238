"""Engine actors without a model: subclasses of the real one, for real processes that start at once.

What an engine process does when it works, sleeps, dies or cannot load does not depend on a model;
loading one would take its test ten times as long. The prompts are what decides:
    await pool.model(config).complete(Prompt(text="hi"), SHORT)              # "hi", 4 tokens
    await pool.model(config).complete(Prompt(text=f"{DEADLY}{file}"), SHORT)  # MortalActor ends
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from infra.engines import Engine, EngineConfig
from infra.engines.engine import EngineInfo
from infra.hosting.ray_replica import EngineActor
from tasks.ports import Completion, Prompt, Sampling, ScoreRequest, TokenScores
from tests.fakes import completion

DEADLY = "deadly for "  # and a file that gets a line a death
TOKEN_S = 0.001  # how long EchoEngine writes at one token


def save_empty_model(folder: Path) -> Path:
    """A folder that passes for a model's until somebody loads it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")  # no tensors
    return folder


class EchoEngine:
    """An Engine without a model: it writes the prompt, `max_tokens` at TOKEN_S each; can sleep."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._num_generated = self._naps = 0
        self._is_asleep = False

    async def sleep(self) -> bool:
        self._naps += 1
        self._is_asleep = True
        return True

    async def wake(self) -> None:
        self._is_asleep = False

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        assert not self._is_asleep
        await asyncio.sleep(TOKEN_S * sampling.max_tokens)
        self._num_generated += sampling.max_tokens * sampling.num_candidates
        return [completion(prompt.text)] * sampling.num_candidates

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        raise NotImplementedError("this model only writes")

    def count(self, text: str) -> int:
        return len(text.split())

    def info(self) -> EngineInfo:
        return {
            "model": self._config.model, "generated_tokens": self._num_generated,
            "naps": self._naps, "asleep": self._is_asleep,
        }  # fmt: skip

    def close(self) -> None: ...


class SleepyActor(EngineActor):
    """Hosts an EchoEngine."""

    def open(self) -> Engine:
        return EchoEngine(self._config)


class EchoActor(SleepyActor):
    """Its engine cannot sleep, as one on a CPU cannot."""

    async def sleep(self) -> bool:
        return False


class MortalActor(EchoActor):
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


class TellingActor(EchoActor):
    """Says what environment its process has, to itself and to the system."""

    async def info(self) -> EngineInfo:
        first = Path("/proc/self/environ").read_bytes().decode(errors="replace")
        return {**await super().info(), "environment": dict(os.environ), "first": first}
