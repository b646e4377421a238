"""Engines that answer at once on the same cores: what threads take that wait by spinning.

Each engine is a process of its own with a thread a core, as in a run. Compared: OMP_WAIT_POLICY
PASSIVE, which a run's engines get (docs/decisions/0148), with OpenMP's default.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from statistics import median

import pytest

WAYS = {"default": None, "PASSIVE": "PASSIVE"}
ROUNDS = 3
ANSWER = """
import asyncio, json, sys, time
from infra.engines import EngineConfig, open_engine
from tasks.ports import Sampling
from tests.bench.test_decoding import prompts
NUM = int(sys.argv[3])
engine = open_engine(EngineConfig(model=sys.argv[1], device="cpu"))

async def answers(max_tokens):
    sampling = Sampling(max_tokens=max_tokens)
    replies = await asyncio.gather(*(engine.complete(p, sampling) for p in prompts()[:NUM]))
    return sum(one.completion_tokens for reply in replies for one in reply)

asyncio.run(answers(2))
print("ready", flush=True)
sys.stdin.readline()
began, cpu = time.monotonic(), time.process_time()
tokens = asyncio.run(answers(int(sys.argv[2])))
print(json.dumps([tokens / (time.monotonic() - began), time.process_time() - cpu]), flush=True)
engine.close()
"""


def answered(
    model: str, max_tokens: int, num_prompts: int, *, num: int, policy: str | None
) -> tuple[float, float]:
    """Tokens a second of all `num` engines together, and their CPU seconds."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    environment |= {"OMP_NUM_THREADS": str(os.cpu_count())}
    if policy:
        environment["OMP_WAIT_POLICY"] = policy
    command = [sys.executable, "-c", ANSWER, model, str(max_tokens), str(num_prompts)]
    engines = [
        subprocess.Popen(
            command, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        for _ in range(num)
    ]  # fmt: skip
    for engine in engines:
        assert engine.stdout is not None
        while "ready" not in (line := engine.stdout.readline()):
            assert line, "the engine ended"
    told = [json.loads(one.communicate()[0].splitlines()[-1]) for one in started(engines)]
    return sum(rate for rate, _ in told), sum(cpu for _, cpu in told)


def started(engines: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    """All at once, before the first is waited for."""
    for engine in engines:
        assert engine.stdin is not None
        engine.stdin.write("go\n")
        engine.stdin.flush()
    return engines


@pytest.mark.parametrize(
    ("model", "max_tokens", "num_prompts"), [("nano:teacher", 400, 96), ("smollm2", 40, 8)]
)
@pytest.mark.parametrize("num", [1, 2])
def test_engines_at_once(model: str, max_tokens: int, num_prompts: int, num: int) -> None:
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way, policy in WAYS.items():  # one after the other, so that both meet the same machine
            found[way].append(answered(model, max_tokens, num_prompts, num=num, policy=policy))
    rates = {way: median(rate for rate, _ in one) for way, one in found.items()}
    cpu = {way: median(seconds for _, seconds in one) for way, one in found.items()}
    print(
        f"\n{model}, {num} at once, {os.cpu_count()} threads each:"
        + "".join(f" {way} {rates[way]:.0f} tokens/s, {cpu[way]:.1f} CPU s;" for way in WAYS)
        + f" ratio {rates['PASSIVE'] / rates['default']:.2f}"
    )
    assert min(rates.values()) > 0
