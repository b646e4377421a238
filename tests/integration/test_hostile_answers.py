"""Three thousand hostile answers through the grader the product uses: nothing hangs, grows or dies.

Every string of tests/hostile_answers.py is graded as what a model stated and as the gold answer;
half of them as mathematics, the others as each other answer type.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import psutil
import pytest

from infra.runs.grading import DEFAULT_TIME_LIMIT_S, ProcessGrader
from tests.hostile_answers import hostile_answers

NUM_ANSWERS = 3_000  # 200 of each kind
SEED = 20_261_121
VERDICTS = {"correct", "wrong", "no_answer", "truncated", "unverifiable"}
IN_FLIGHT = 2  # as many as workers: nothing waits for another
SLACK_S = 25.0  # a worker started anew on a loaded machine
MOST_SECONDS = 200.0  # about 20 s on two idle cores
MOST_AT_THE_LIMIT = 0.005  # none on an idle machine
MOST_GROWTH_MIB = 32
FRAMES = ("\\boxed{%s}", "The answer is %s.", "#### %s", "<answer>%s</answer>", "</think>%s", "%s")
MATHEMATICS = ("x+y", "5", "\\sqrt{12}", "\\{\\sqrt2,\\sqrt3\\}", "(1,2]",
               "\\begin{pmatrix}1\\\\\\sqrt2\\end{pmatrix}")  # fmt: skip
OTHERS = (
    ("integer", "5"),
    ("choice", "B"),
    ("yes_no", "no"),
    ("date", "1/1/2001"),
    ("text", "Monday"),
)

Task = tuple[str, str, str]  # text, gold answer, answer type


def tasks() -> Iterator[Task]:
    """Each string as what was stated and as the gold answer; every other one as mathematics."""
    rng = random.Random(SEED)
    for _kind, hostile in hostile_answers(NUM_ANSWERS, seed=SEED):
        kinds = [("math", rng.choice(MATHEMATICS)), rng.choice(OTHERS)]
        answer_type, ordinary = rng.choice(kinds)
        yield rng.choice(FRAMES).replace("%s", hostile), ordinary, answer_type
        yield f"The answer is {ordinary}.", hostile, answer_type


async def grade_all(grader: ProcessGrader) -> tuple[Counter[str], list[float]]:
    """Verdicts, and the seconds each took; IN_FLIGHT at a time from one queue."""
    verdicts: Counter[str] = Counter()
    seconds: list[float] = []
    queue = tasks()

    async def lane() -> None:
        for text, gold, answer_type in queue:
            started = time.monotonic()
            grade = await grader.grade(text, answer=gold, answer_type=answer_type, truncated=False)
            seconds.append(time.monotonic() - started)
            verdicts[grade.verdict] += 1
            (grade.extracted_answer or "").encode()
            await asyncio.sleep(0)

    await asyncio.gather(*(lane() for _ in range(IN_FLIGHT)))
    return verdicts, seconds


async def ordinary(grader: ProcessGrader, stated: str) -> str:
    graded = await grader.grade(
        f"Thus \\boxed{{{stated}}}.", answer="\\sqrt{12}", answer_type="math", truncated=False
    )
    return graded.verdict


def alive(grader: ProcessGrader) -> list[bool]:
    workers = grader._pool._pool_manager.worker_manager.workers  # type: ignore[union-attr]
    return [psutil.Process(worker).is_running() for worker in workers]


@dataclass(frozen=True, kw_only=True)
class Survived:
    """What came of it."""

    verdicts: Counter[str]
    seconds: list[float]  # each grading took
    took_s: float
    grown_mib: float  # of the process that grades through the workers
    before: list[str]  # an ordinary answer that is right
    after: list[str]  # one that is right, one that is wrong
    alive: list[bool]


async def survive() -> Survived:
    """All of it, and ordinary answers before and after."""
    grader = ProcessGrader(max_workers=2)
    try:
        before = [await ordinary(grader, "2\\sqrt{3}")]
        resident = psutil.Process().memory_info().rss
        started = time.monotonic()
        verdicts, seconds = await grade_all(grader)
        took = time.monotonic() - started
        grown = (psutil.Process().memory_info().rss - resident) / 2**20
        after = [await ordinary(grader, stated) for stated in ("2\\sqrt{3}", "2\\sqrt{5}")]
        return Survived(
            verdicts=verdicts, seconds=seconds, took_s=took, grown_mib=grown,
            before=before, after=after, alive=alive(grader),
        )  # fmt: skip
    finally:
        grader.close()


def survive_alone() -> Survived:
    """In a process whose memory is nobody else's."""
    return asyncio.run(survive())


@pytest.mark.timeout(400)
def test_thousands_of_hostile_answers_are_survived() -> None:
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        found = process.submit(survive_alone).result()
    at_the_limit = sum(each >= DEFAULT_TIME_LIMIT_S for each in found.seconds)
    print(
        f"\n{len(found.seconds)} gradings of {NUM_ANSWERS} answers in {found.took_s:.0f} s, "
        f"{at_the_limit} of {DEFAULT_TIME_LIMIT_S:.0f} s or more, the longest "
        f"{max(found.seconds):.1f} s; grown by {found.grown_mib:.0f} MiB; {dict(found.verdicts)}"
    )
    assert len(found.seconds) == 2 * NUM_ANSWERS
    assert set(found.verdicts) <= VERDICTS
    assert max(found.seconds) <= DEFAULT_TIME_LIMIT_S + SLACK_S
    assert at_the_limit <= MOST_AT_THE_LIMIT * len(found.seconds)
    assert found.took_s <= MOST_SECONDS
    assert found.grown_mib <= MOST_GROWTH_MIB
    assert (found.before, found.after) == (["correct"], ["correct", "wrong"])
    assert found.alive == [True, True]
