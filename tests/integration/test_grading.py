"""The grader over real worker processes; agreement with the recorded correctness of rationales.

All labelled answers, beside math-verify alone: tests/bench/test_verification.py. Here most of them,
as a floor; the data lies beside the repository (shared/data) and is skipped where it is absent.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pebble import ProcessPool

from infra.runs.grading import AnswerTypeError, ProcessGrader, prepare_worker
from tasks.answers import grade
from tasks.plugins import load_plugins
from tasks.ports import Grade
from tests.labelled_answers import DATES, GSM8K, LabelledAnswer, load

REPOSITORY = Path(__file__).parents[2]
TIME_LIMIT_S = 1.0
SLACK_S = 25.0  # a loaded machine may take this long to start a worker


@pytest.fixture(scope="module")
def grader() -> Iterator[ProcessGrader]:
    grader = ProcessGrader(max_workers=1, time_limit_s=TIME_LIMIT_S)
    yield grader
    grader.close()


# Within the reach of algebra as far as a cheap look tells, and endless all the same.
# What our own reader does not know (a conjugate) is what algebra is asked about.
ENDLESS = "\\overline{z}+\\frac{(a+b+c+d)^{19}}{(a-b+c-d)^{19}}"


async def grade_math(grader: ProcessGrader, stated: str, gold: str) -> Grade:
    text = f"Hence \\boxed{{{stated}}}."
    return await grader.grade(text, answer=gold, answer_type="math", truncated=False)


async def test_symbolic_comparison_happens_in_a_worker(grader: ProcessGrader) -> None:
    assert (await grade_math(grader, "1+\\overline{z}", "\\overline{z}+1")).verdict == "correct"
    assert (await grade_math(grader, "2+\\overline{z}", "\\overline{z}+1")).verdict == "wrong"
    assert (await grade_math(grader, "x", "\\frac{")).verdict == "unverifiable"


async def test_cheap_comparisons_start_no_worker() -> None:
    grader = ProcessGrader()
    cases = [("The answer is 5.", "5", "integer"), ("The answer is Thursday.", "Thursday", "text")]
    for text, gold, kind in cases:
        outcome = await grader.grade(text, answer=gold, answer_type=kind, truncated=False)
        assert outcome.verdict == "correct"
    assert grader._pool is None
    grader.close()


@pytest.mark.parametrize(
    "hostile",
    [ENDLESS, "9^{9^{9^{9}}}", "(99999999!)!", "x^{1000000} + (x+1)^{100000}", "2^{2^{2^{60}}}"],
)
async def test_endless_expressions_end(grader: ProcessGrader, hostile: str) -> None:
    started = time.monotonic()
    outcome = await grade_math(grader, hostile, "x+y")
    assert outcome.verdict in {"unverifiable", "wrong"}
    assert time.monotonic() - started < TIME_LIMIT_S + SLACK_S
    # The worker was replaced: the next comparison is answered.
    assert (await grade_math(grader, "1+\\overline{z}", "\\overline{z}+1")).verdict == "correct"


@pytest.mark.parametrize(
    "hostile",
    [
        "\\boxed{9**9**9**9}", "\\boxed{" + "{" * 100_000 + "5" + "}" * 100_000 + "}",
        "\\boxed{" + "{" * 450 + "5x" + "}" * 450 + "}", "[" * 100_000, "\\boxed{" * 100_000,
        "The answer is " + "1" * 1_000_000 + ".", "1," * 500_000, "The answer is " * 80_000,
        "answer " * 100_000 + "is", "<answer>" * 100_000, "####\n" * 100_000, "$" * 100_000 + "5",
        "\\(" * 100_000, "\\text{" * 100_000, "The answer is \x00\u202e\ud800.", " " * 1_000_000,
        "Answer: " + "(" * 900, "Answer: " + "-" * 900,
        "Answer: " + "\\frac{" * 150, "\n" * 1_000_000,
    ],
    ids=lambda text: text[:12].encode("unicode_escape").decode(),
)  # fmt: skip
async def test_hostile_texts_end(grader: ProcessGrader, hostile: str) -> None:
    for kind, gold in (("math", "5x"), ("integer", "5"), ("date", "1/1/2001"), ("text", "Monday")):
        started = time.monotonic()
        outcome = await grader.grade(hostile, answer=gold, answer_type=kind, truncated=False)
        assert time.monotonic() - started < TIME_LIMIT_S + SLACK_S
        (outcome.extracted_answer or "").encode()


async def test_the_event_loop_goes_on_while_a_worker_computes(grader: ProcessGrader) -> None:
    slow = asyncio.create_task(grade_math(grader, ENDLESS, "x+y"))
    ticks = 0
    while not slow.done():
        await asyncio.sleep(0.05)
        ticks += 1
    assert ticks > 10


async def test_workers_run_in_the_main_thread_within_a_memory_limit() -> None:
    """math-verify's signals need the main thread; 3 GiB do not fit into 1 GiB above the start."""
    pool = ProcessPool(
        max_workers=1,
        initializer=prepare_worker,
        initargs=(1_024,),
        context=multiprocessing.get_context("spawn"),
    )
    with pool:
        assert pool.schedule(_is_main_thread).result(timeout=120)
        assert pool.schedule(len, args=(b"",)).result(timeout=60) == 0
        with pytest.raises(MemoryError):
            pool.schedule(_allocate, args=(3 << 30,)).result(timeout=60)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _allocate(num_bytes: int) -> int:
    return len(bytearray(num_bytes))


OUTSIDE = """
import os, sys
from tasks.answers.kinds import AnswerType


class Sealed(Exception):
    def __init__(self):
        self.hold = lambda: None  # cannot be pickled

    def __str__(self):
        raise ValueError("not even this")


def act(word):
    if "spin" in word:
        while True:
            pass
    if "grow" in word:
        return "x" * (1 << 33)
    if "deep" in word:
        return act(word)
    if "exit" in word:
        sys.exit(3)
    if "gone" in word:
        os._exit(3)
    if "boom" in word:
        raise RuntimeError("boom\\nand more")
    if "sealed" in word:
        raise Sealed
    return (lambda: 0) if "odd" in word else word


WILD = AnswerType(
    name="wild",
    read=lambda statement: act(statement.value),
    read_line=act,
    compare=lambda gold, stated, symbolic: gold == stated,
)
"""


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessGrader]:
    """Knows the answer type `wild`, a file's; itself it must never run its code."""
    file = tmp_path_factory.mktemp("plugins") / "wild.py"
    file.write_text(OUTSIDE)
    load_plugins(["wild.py"], beside=file.parent)
    grader = ProcessGrader(max_workers=1, time_limit_s=TIME_LIMIT_S)
    yield grader
    grader.close()


@pytest.mark.parametrize("says", ["The answer is {}.", "So I would say\n{}"])
async def test_code_from_outside_has_limits_and_tells_its_faults(
    outside: ProcessGrader, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async def verdict(word: str) -> str:
        text = says.format(word)
        graded = await outside.grade(text, answer="five", answer_type="wild", truncated=False)
        return graded.verdict

    assert [await verdict(word) for word in ("five", "six")] == ["correct", "wrong"]
    for word in ("spin", "grow", "deep", "gone"):
        assert await verdict(word) == "unverifiable"
    faults = {
        "boom": "RuntimeError: boom and more",
        "exit": "SystemExit: 3",
        "sealed": "Sealed",
        "odd": "read gives 'function', not a str or None",
    }
    for word, words in faults.items():
        with pytest.raises(AnswerTypeError) as caught:
            await verdict(word)
        assert str(caught.value) == f"answer type 'wild' (wild.py): {words}"
    assert await verdict("five") == "correct"
    assert capfd.readouterr().err == ""


async def test_a_killed_worker_is_replaced() -> None:
    grader = ProcessGrader(max_workers=1)
    assert (await grade_math(grader, "1+\\overline{z}", "\\overline{z}+1")).verdict == "correct"
    pending = asyncio.create_task(grade_math(grader, ENDLESS, "x+y"))
    await asyncio.sleep(0.5)
    workers = grader._pool._pool_manager.worker_manager.workers  # type: ignore[union-attr]
    os.kill(next(iter(workers)), signal.SIGKILL)
    assert (await pending).verdict == "unverifiable"
    assert (await grade_math(grader, "1+\\overline{z}", "\\overline{z}+1")).verdict == "correct"
    idle = next(iter(grader._pool._pool_manager.worker_manager.workers))  # type: ignore[union-attr]
    os.kill(idle, signal.SIGKILL)
    verdicts = [await grade_math(grader, "1+\\overline{z}", "\\overline{z}+1") for _ in range(3)]
    assert {each.verdict for each in verdicts} == {"correct"}
    grader.close()
    with pytest.raises(RuntimeError):
        await grade_math(grader, "1+\\overline{z}", "\\overline{z}+1")


KILLED = """
import asyncio, os, signal
from infra.runs.grading import ProcessGrader

async def main():
    grader = ProcessGrader(max_workers=1)
    text = "\\\\boxed{1+\\\\overline{z}}"
    await grader.grade(text, answer="\\\\overline{z}+1", answer_type="math", truncated=False)
    print(*grader._pool._pool_manager.worker_manager.workers, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run(
        [sys.executable, script], env=environment, stdout=subprocess.PIPE, check=False, timeout=120
    )
    assert ended.returncode == -signal.SIGKILL
    (worker,) = map(int, ended.stdout.split())
    deadline = time.monotonic() + 30
    while psutil.pid_exists(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(worker)


def agreement(answers: list[LabelledAnswer]) -> float:
    """Share of the answers on which the verdict is what their source recorded."""
    agreed = [
        (grade(each.text, answer=each.gold, answer_type=each.answer_type, truncated=False).verdict
         == "correct") == each.recorded
        for each in answers
    ]  # fmt: skip
    return sum(agreed) / len(agreed)


def test_agreement_on_gsm8k() -> None:
    assert agreement(load(GSM8K)) == 1.0


def test_agreement_on_dates() -> None:
    """The source refuses 6/19/2019 for 06/19/2019: docs/verification.md."""
    assert agreement(load(DATES)) >= 0.97


@pytest.mark.parametrize(
    ("name", "stride", "least"),
    [
        ("math100_qwen25math_8candidates", 1, 0.985),
        ("math500_qwen25_14b_instruct", 2, 0.98),
        ("math500_skyt1_32b_shortcot", 2, 0.98),
        ("math500_skyt1_27b_longcot", 2, 0.93),
    ],
)
def test_agreement_on_math(name: str, stride: int, least: float) -> None:
    assert agreement(load(name)[::stride]) >= least
