"""MACC's rounds without barriers against the same rounds batch by batch, on one vLLM engine.

Every way runs the very step of the product (`tasks.compress.compress`) on the same samples; only
the model it is given differs: one answers each request at once, one holds a round's requests back
until everybody in the batch has asked, and hands replies out when the last one is done, which is
what pipelines of batches do. Where the gain comes from is printed too: rounds and lengths differ
from sample to sample, and behind a barrier the engine runs half empty until the slowest is done.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from infra.engines import Engine, EngineConfig, open_engine
from infra.engines.token_counter import TokenizerCounter
from infra.nano.chains import long_style, render
from infra.nano.world import draw_distinct
from infra.runs.grading import ProcessGrader
from tasks.compress import CompressConfig, CompressRecord, compress
from tasks.ports import Completion, Ports, Prompt, Sampling
from tasks.prompts import PromptFiles
from tasks.schemas import Rationale

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"
)
NUM_SAMPLES = int(os.environ.get("LITECOT_BENCH_SAMPLES", "256"))
REPEATS = int(os.environ.get("LITECOT_BENCH_REPEATS", "3"))
IN_FLIGHT = 256
BATCH = 32
CONFIG = CompressConfig(prompt="nano", max_tokens=500)
# no prefix cache: each way would find the prompts of the one before it
ENGINE = EngineConfig.model_validate(
    {
        "engine": "vllm", "model": "nano:teacher", "threads": 1,
        "vllm": {"enable_prefix_caching": False, "max_num_seqs": IN_FLIGHT},
    }
)  # fmt: skip
COUNTER = TokenizerCounter("nano:student")


@dataclass
class Direct:
    """Sends at once."""

    target: Engine
    name: str = "nano:teacher"
    engine: str = "vllm"

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        return await self.target.complete(prompt, sampling)


@dataclass
class Barrier(Direct):
    """Sends a round when all `present` samples have asked; nobody goes on before all are done."""

    present: int = 0
    waiting: list[tuple[Prompt, Sampling, asyncio.Future[list[Completion]]]] = field(
        default_factory=list
    )

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        reply: asyncio.Future[list[Completion]] = asyncio.get_running_loop().create_future()
        self.waiting.append((prompt, sampling, reply))
        await self._send_if_complete()
        return await reply

    async def leave(self) -> None:
        self.present -= 1
        await self._send_if_complete()

    async def _send_if_complete(self) -> None:
        if not self.waiting or len(self.waiting) < self.present:
            return
        batch, self.waiting = self.waiting, []
        replies = await asyncio.gather(*(self.target.complete(p, s) for p, s, _ in batch))
        for (_, _, future), reply in zip(batch, replies, strict=True):
            future.set_result(reply)


def samples() -> list[CompressRecord]:
    rng = random.Random(3)
    return [
        _record(number, problem, rng)
        for number, problem in enumerate(
            draw_distinct(rng, NUM_SAMPLES, steps=range(1, 9), held_out=False)
        )
    ]


def _record(number: int, problem: Any, rng: random.Random) -> CompressRecord:
    text = render(problem, long_style(rng))
    return CompressRecord(
        record_id=f"r{number}", problem_id=f"p{number}", question=problem.question,
        answer=problem.answer, answer_type=problem.row["answer_type"], level=None, candidate=0,
        text=text, num_tokens=COUNTER.count(text),
    )  # fmt: skip


def ports(chat: Direct, grader: ProcessGrader) -> Ports:
    return Ports(
        prompts=PromptFiles("nano"), grader=grader, tokens=COUNTER, seed=7,
        chat={"compressor": chat},
    )  # fmt: skip


Rows = list[Sequence[Rationale]]


async def without_barriers(
    engine: Engine, records: list[CompressRecord], grader: ProcessGrader, in_flight: int = IN_FLIGHT
) -> Rows:
    room = asyncio.Semaphore(in_flight)
    given = ports(Direct(engine), grader)

    async def one(record: CompressRecord) -> Sequence[Rationale]:
        async with room:
            return await compress(record, given, CONFIG)

    return list(await asyncio.gather(*map(one, records)))


async def round_by_round(
    engine: Engine, records: list[CompressRecord], grader: ProcessGrader
) -> Rows:
    barrier = Barrier(engine, present=len(records))
    given = ports(barrier, grader)

    async def one(record: CompressRecord) -> Sequence[Rationale]:
        try:
            return await compress(record, given, CONFIG)
        finally:
            await barrier.leave()

    return list(await asyncio.gather(*map(one, records)))


async def batch_by_batch(
    engine: Engine, records: list[CompressRecord], grader: ProcessGrader
) -> Rows:
    rows: Rows = []
    for start in range(0, len(records), BATCH):
        rows += await round_by_round(engine, records[start : start + BATCH], grader)
    return rows


FREE, ALL_ROUNDS = f"no barrier, {IN_FLIGHT} in flight", "all samples, round by round"
FREE_FEW, BATCHES = f"no barrier, {BATCH} in flight", f"batches of {BATCH}, round by round"
WAYS: dict[str, Callable[[Engine, list[CompressRecord], ProcessGrader], Awaitable[Rows]]] = {
    FREE: without_barriers,
    ALL_ROUNDS: round_by_round,
    FREE_FEW: partial(without_barriers, in_flight=BATCH),
    BATCHES: batch_by_batch,
}


async def _measure(engine: Engine) -> tuple[dict[str, float], dict[str, Rows]]:
    """Best wall time of each way over the repeats, in turns, and what it wrote."""
    records, grader = samples(), ProcessGrader(max_workers=1)
    await without_barriers(engine, records[:16], grader)  # warm
    seconds: dict[str, float] = {}
    rows: dict[str, Rows] = {}
    try:
        for _ in range(REPEATS):
            for name, way in WAYS.items():
                started = time.perf_counter()
                rows[name] = await way(engine, records, grader)
                seconds[name] = min(time.perf_counter() - started, seconds.get(name, float("inf")))
    finally:
        grader.close()
    return seconds, rows


def _texts(rows: Rows) -> list[list[str]]:
    return [[row.text for row in rounds] for rounds in rows]


def _describe(rows: Rows) -> str:
    rounds = sorted(Counter(len(each) for each in rows).items())
    tokens = [sum(row.completion_tokens or 0 for row in each) for each in rows]
    cuts = statistics.quantiles(tokens, n=20)
    return (
        f"samples by rounds: {dict(rounds)}; tokens written a sample: median "
        f"{statistics.median(tokens):.0f}, 95% {cuts[-1]:.0f}, most {max(tokens)}; in all "
        f"{sum(tokens)}"
    )


def test_rounds_without_barriers() -> None:
    engine = open_engine(ENGINE)
    try:
        seconds, rows = asyncio.run(_measure(engine))
    finally:
        engine.close()
    print(f"\n{NUM_SAMPLES} samples, best of {REPEATS}. {_describe(rows[FREE])}")
    for name, elapsed in seconds.items():
        print(f"{name}: {elapsed:.2f} s, {elapsed / seconds[FREE]:.2f} times the first")
    print(
        f"barriers alone, {BATCH} in flight both ways: {seconds[BATCHES] / seconds[FREE_FEW]:.2f}"
    )
    for name, other in rows.items():
        assert len(other) == NUM_SAMPLES
        same = [a == b for a, b in zip(_texts(rows[FREE]), _texts(other), strict=True)]
        assert sum(same) >= 0.99 * NUM_SAMPLES, name  # float32: a batch's rounding flips a token
    assert seconds[FREE_FEW] < seconds[BATCHES]
    assert seconds[FREE] < 1.1 * seconds[ALL_ROUNDS]
