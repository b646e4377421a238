"""The driver of a corpus whose GPUs are simulated, as a process of its own.

Role: what `test_scale` measures. Real are the runner, the pools, Ray between driver and replicas,
journal, grading, parts and store; simulated is only what a GPU does: an actor of Ray stands for all
of them and answers each request after as long as a real one would write at TOKENS_PER_S, divided by
`compression`, with a text as long as a recorded chain.

    python -m tests.bench.scale_client '{"corpus": "...", "num_gpus": 16, "num_records": 4000,
                                         "compression": 30}'

prints one JSON line, the fields of Scale.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import threading
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from infra.engines import EngineConfig
from infra.hosting.pools import Pools, RemoteModel
from infra.hosting.ray_cluster import start_ray, stop_ray
from infra.hosting.ray_replica import RayReplica
from infra.runs.plan import StageRun
from infra.runs.run import Run
from infra.runs.runner import run_stage
from infra.settings import Settings
from infra.storage import Corpus
from tasks.ports import Completion, Prompt, Sampling
from tasks.schemas import Membership, Problem
from tests.bench.runner_client import QUESTION, RUN_ID, plan

SEQUENCES = 64  # at once on one GPU: an assumption, as is the rate
TOKENS_PER_S = 40.0  # of each of them
CHARACTERS_A_TOKEN = 2.6  # of the same chains
# Tokens of 500 recorded long chains (MATH-500, a 27B model of 4 096 tokens at most): 5% apart.
LENGTHS = (
    52, 684, 855, 971, 1097, 1196, 1350, 1497, 1675, 1876, 2113, 2433, 2779, 3401, 3826, 3894, 3932,
    3973, 4050, 4125, 4252,
)  # fmt: skip
WORDS = "so then we take the sum of both sides and get x = 4, not what was asked"
LIKE_ALL = {"num_cpus": 0, "num_gpus": 0}


@dataclass(kw_only=True)
class Scale:
    """What a driver did for `num_gpus`; seconds as they passed, not multiplied by `compression`."""

    num_gpus: int
    compression: float
    num_records: int
    seconds: float  # first request to last answer
    steady_s: float  # of these, from the first moment all slots were taken to the last request
    busy: float  # share of all slots that were at work in the steady time
    in_flight: int  # the most
    records_per_s: float  # in the steady time
    cpu: float  # cores of the driver's process in the steady time
    loop_ms: float  # CPU of the runner's event loop for one record
    mib: float  # its resident memory, the most
    journal_mib: float  # the most
    num_parts: int  # in the end
    corpus_mib: float


def length(uniform: float) -> int:
    """Tokens of a chain at this quantile."""
    place = uniform * (len(LENGTHS) - 1)
    low = int(place)
    high = min(low + 1, len(LENGTHS) - 1)
    return round(LENGTHS[low] + (place - low) * (LENGTHS[high] - LENGTHS[low]))


class Gpus:
    """All GPUs of the cluster: an actor that only waits, and keeps who was at work when."""

    def __init__(self, compression: float) -> None:
        self._compression = compression
        drawn, words = random.Random(1), WORDS.split()
        self._text = " ".join(drawn.choice(words) for _ in range(20_000))
        self._changes: list[tuple[float, int]] = []

    async def where(self) -> dict[str, str]:
        """See EngineActor."""
        return {}

    async def load(self) -> None:
        """See EngineActor."""

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        """One chain."""
        drawn = random.Random(sampling.seed)
        num_tokens = length(drawn.random())
        began = time.monotonic()
        self._changes.append((began, 1))
        takes_s = num_tokens / TOKENS_PER_S / self._compression
        await asyncio.sleep(takes_s)
        start = drawn.randrange(1000)
        text = self._text[start : start + int(num_tokens * CHARACTERS_A_TOKEN)]
        self._changes.append((began + takes_s, -1))  # what this process is late, no GPU works
        return [
            Completion(
                text=f"{text}\nThe answer is {len(prompt.text)}.", finish_reason="stop",
                prompt_tokens=len(prompt.text) // 4, completion_tokens=num_tokens,
                latency_s=time.monotonic() - began,
            )
        ]  # fmt: skip

    async def changes(self) -> list[tuple[float, int]]:
        """When (monotonic) a request came (+1) or was answered (-1)."""
        return self._changes


class Gpu(RayReplica):
    """One of them, as a pool sees it: all share the actor, which outlives each."""

    async def end(self) -> None: ...

    def touch(self) -> None: ...


class Cluster:
    """A ReplicaHost of simulated GPUs."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def prepare(self, config: EngineConfig) -> None: ...

    def release(self, config: EngineConfig) -> None: ...

    async def has_room(self, config: EngineConfig) -> bool:
        return False

    def start(self, config: EngineConfig, number: int) -> Gpu:
        return Gpu(self._actor, config.model, LIKE_ALL, 0)


class Models:
    """A ModelHost over it."""

    def __init__(self, actor: Any, settings: Settings) -> None:
        self._pools = Pools(Cluster(actor), settings)

    def model(self, config: EngineConfig, *, affinity: str = "") -> RemoteModel:
        return self._pools.model(config, affinity=affinity)

    async def reside(self, configs: Collection[EngineConfig]) -> None:
        await self._pools.reside(configs)

    def close(self) -> None:
        self._pools.close()


class OnSimulated(Run):
    """A run that no placement on this machine's own devices touches."""

    def stage(self, name: str) -> StageRun:
        return self.stages[name]


class Watch:
    """The driver's CPU and memory and its journal, four times a second."""

    def __init__(self, journals: Path) -> None:
        self._journals = journals
        self.seen: list[tuple[float, float, float, float]] = []  # time, CPU s, MiB, MiB of journal
        self._process = psutil.Process()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._is_over.set()
        self._thread.join()

    def cpu(self, began: float, ended: float) -> float:
        """Cores in use between two moments."""
        inside = [one for one in self.seen if began <= one[0] <= ended]
        if len(inside) < 2:
            return float("nan")
        return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])

    def _watch(self) -> None:
        while not self._is_over.wait(0.25):
            times = self._process.cpu_times()
            size = sum(file.stat().st_size for file in self._journals.glob("journal.sqlite*"))
            mib = self._process.memory_info().rss / 2**20
            self.seen.append((time.monotonic(), times.user + times.system, mib, size / 2**20))


def at_work(changes: list[tuple[float, int]], num_slots: int) -> tuple[float, float, float, int]:
    """Begin and end of the steady time, share of the slots at work in it, and the most at once.

    It begins once nine of ten slots were taken, or, where that never was, at half of the time; it
    ends with the last request that came.
    """
    changes = sorted(changes)
    last = max(moment for moment, change in changes if change > 0)
    level, most, full = 0, 0, None
    for moment, change in changes:
        level += change
        most = max(most, level)
        if full is None and level >= 0.9 * num_slots:
            full = moment
    began = full if full is not None else (changes[0][0] + last) / 2
    area, level, before = 0.0, 0, changes[0][0]
    for moment, change in changes:
        inside = min(moment, last) - max(before, began)
        area += level * max(inside, 0.0)
        level, before = level + change, moment
    return began, last, area / (num_slots * (last - began)), most


def take_in(run: Run, num_records: int) -> None:
    """Problems of one shard, a thousand at a time."""
    for first in range(0, num_records, 1000):
        rows: list[Any] = []
        for number in range(first, min(first + 1000, num_records)):
            problem = Problem(
                source="bench", question=QUESTION.format(number), answer=str(number + 1),
                answer_type="integer",
            )  # fmt: skip
            rows += [
                problem,
                Membership(
                    member_of=RUN_ID, problem_id=problem.content_id(), split="train", shard=0,
                    position=number,
                ),
            ]  # fmt: skip
        run.write(str(first), rows, stage="ingest")


def measure(corpus: str, num_gpus: int, num_records: int, compression: float) -> Scale:
    """Fill the corpus with one chain a problem."""
    import ray

    start_ray(num_cpus=2)
    actor = ray.remote(Gpus).options(max_concurrency=10**6, num_cpus=0).remote(compression)
    num_slots = num_gpus * SEQUENCES
    settings = Settings(in_flight=2 * num_slots)  # one answer is on its way back, another asked
    made = plan("http://127.0.0.1:9/v1", num_slots)
    teacher = EngineConfig(model="nano:teacher", replicas=num_gpus, max_in_flight=SEQUENCES)
    stage = replace(made.stages["generate"], models={"teacher": teacher})
    made = replace(made, stages={"generate": stage})
    with OnSimulated(made, corpus=corpus, settings=settings, models=Models(actor, settings)) as run:
        take_in(run, num_records)
        run.writer.flush()
        journals = Path(run.writer.store.folder)
        watch = Watch(journals / "_journal")
        before = time.thread_time()
        report = asyncio.run(run_stage(run, "generate"))
        loop_s = time.thread_time() - before
        assert report.num_rows == num_records, report
        watch.end()
    changes = ray.get(actor.changes.remote())
    stop_ray()
    began, ended, busy, most = at_work(changes, num_slots)
    done = sum(change < 0 and began <= moment <= ended for moment, change in changes)
    files = [file for files in Corpus(corpus).parts().values() for file in files]
    return Scale(
        num_gpus=num_gpus, compression=compression, num_records=num_records,
        seconds=max(changes)[0] - min(changes)[0], steady_s=ended - began, busy=busy,
        in_flight=most, records_per_s=done / (ended - began), cpu=watch.cpu(began, ended),
        loop_ms=1000 * loop_s / num_records,
        mib=max(one[2] for one in watch.seen), journal_mib=max(one[3] for one in watch.seen),
        num_parts=len(files),
        corpus_mib=sum(os.path.getsize(file) for file in files) / 2**20
        if not corpus.startswith("s3://") else float("nan"),
    )  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(asdict(measure(**json.loads(sys.argv[1])))))
