"""The Prefect tasks: one a (stage, shard), and one each for ingest and training.

Invariant: a task gets plain values (an order, a stage's name, a shard's number), never rows; it can
be tried again, because what it finished is in the corpus already.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.progress.artifacts import StageProgress
from flows.progress.pace import Pace, rate_words
from flows.progress.terminal import StageCount
from flows.progress.training import TrainingWords
from flows.recipes.intake import intake_of
from flows.session import Order, Session, session
from infra.runs.intake import IntakeReport, take_in
from infra.runs.runner import StageFailedError, StageReport, run_stage
from infra.runs.train_student import train_student
from infra.training.reports import StepReport

ResultT = TypeVar("ResultT")
# No tags: for each, Prefect asks its server for a slot, and waits 2 s where SQLite is locked.
TASK: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}


def _count(order: Order, stage: str) -> tuple[StageCount, StageProgress]:
    opened = session(order)
    if stage not in opened.counts:
        opened.counts[stage] = StageCount(num_shards=_num_shards_of(opened, stage))
        opened.progress[stage] = StageProgress(opened.recipe.name, stage)
    return opened.counts[stage], opened.progress[stage]


def _num_shards_of(opened: Session, stage: str) -> int:
    if stage not in opened.run.stages:  # training
        return 1
    declared = opened.run.stages[stage].stage
    if declared.phase == "evaluation":
        return num_shards(opened, "eval")
    return 1 if declared.is_global else num_shards(opened)


def num_shards(opened: Session, split: str = "train") -> int:
    """Shards of the run's problems of that split, from its memberships."""
    found = opened.run.latest().run_file("runs", "num_shards", variables={"split": split})
    return int(found.rows[0][0])


async def all_to_their_end(
    shards: Iterable[Coroutine[Any, Any, None]],
) -> list[Exception | None]:
    """What each failed with, or None: a failure is told after the others have ended."""
    outcomes = await asyncio.gather(*shards, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
            raise outcome  # an interruption
    return [outcome if isinstance(outcome, Exception) else None for outcome in outcomes]


async def _in_thread(work: Callable[[Callable[[], None]], ResultT]) -> ResultT:
    """`work` in a thread, which has ended when this returns or raises.

    Where the flow is cancelled the thread is told by what it is to call now and then, and waited
    for: it writes to the corpus and reads from it, and both are closed next.
    """
    stopping = threading.Event()

    def go_on() -> None:
        if stopping.is_set():
            raise asyncio.CancelledError

    working = asyncio.create_task(asyncio.to_thread(work, go_on))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stopping.set()
        with suppress(BaseException):  # the cancellation is what is told
            await working
        raise


@task(name="ingest", task_run_name="ingest", **TASK)
async def ingest(order: Order) -> IntakeReport:
    """Problems and memberships, once a run."""
    opened = session(order)
    intake = intake_of(opened.recipe)

    def advance(num_rows: int) -> None:
        opened.terminal.advance("ingest", num_rows, num_rows)

    opened.timings.start("ingest")
    report = await _in_thread(
        lambda go_on: take_in(opened.run, intake, on_progress=advance, go_on=go_on)
    )
    opened.timings.end("ingest", report.num_problems + report.num_eval)
    for note in report.lines():
        opened.terminal.say(f"  {note}")
    return report


@task(task_run_name="{stage}, {shards}", **TASK)
async def stage_shard(order: Order, stage: str, shard: int | None, shards: str) -> StageReport:
    """Whatever is pending of one stage in one shard."""
    opened = session(order)
    count, progress = _count(order, stage)
    changed, pace, log = asyncio.Event(), opened.pace(stage), get_run_logger()

    def advance(done: int, pending: int) -> None:
        if shard not in count.pending:
            log.info("%s", _found(stage, shards, pending))
        count.update(shard, done, pending)
        opened.terminal.advance(stage, *count.totals, text=pace.words)
        changed.set()

    opened.timings.start(stage)
    shown = asyncio.create_task(_keep_showing(pace, count, progress, changed))
    told = asyncio.create_task(_keep_telling_pace(opened, stage, count, pace))
    try:
        report = await run_stage(
            opened.run, stage, shard=shard, on_progress=advance, account=pace.account
        )
    except StageFailedError as error:
        opened.timings.end(stage, error.num_rows)
        raise
    finally:
        shown.cancel()
        told.cancel()
        pace.look(*count.totals)
        opened.terminal.advance(stage, *count.totals, text=pace.words)
    opened.timings.end(stage, report.num_rows)
    await _show(pace, count, progress, is_last=True)
    if report.num_pending:
        log.info("%s", _done(stage, shards, report))
    opened.terminal.finished(
        stage, shard=shard, num_rows=report.num_rows, num_rejected=report.num_rejected,
        seconds=report.seconds,
    )  # fmt: skip
    return report


def _found(stage: str, shards: str, pending: int) -> str:
    if not pending:
        return f"{stage}, {shards}: all was found done"
    return f"{stage}, {shards}: {pending} record{'s' * (pending != 1)} to do"


def _done(stage: str, shards: str, report: StageReport) -> str:
    """What came of it, and how fast: the models' loading is in it."""
    rows = f"{report.num_rows} row{'s' * (report.num_rows != 1)}"
    rejected = f", {report.num_rejected} rejected" if report.num_rejected else ""
    rate = rate_words(report.num_pending / report.seconds) if report.seconds else ""
    records = f"{report.num_pending} record{'s' * (report.num_pending != 1)}"
    return f"{stage}, {shards}: {rows} of {records}{rejected} in {report.seconds:.1f} s, {rate}"


async def _keep_showing(
    pace: Pace, count: StageCount, progress: StageProgress, changed: asyncio.Event
) -> None:
    while True:
        await changed.wait()
        changed.clear()
        await _show(pace, count, progress)
        await asyncio.sleep(0.5)


async def _keep_telling_pace(opened: Session, stage: str, count: StageCount, pace: Pace) -> None:
    """The bar's words, lines where no bars are and in the log, and what `litecot status` says."""
    while True:
        pace.look(*count.totals)
        opened.terminal.advance(stage, *count.totals, text=pace.words)
        if (line := pace.line()) is not None:
            opened.terminal.say_where_no_bars_are(f"  {stage}: {line}")
            get_run_logger().info("%s: %s", stage, line)
        opened.tell(stage)
        await asyncio.sleep(1.0)


async def _show(
    pace: Pace, count: StageCount, progress: StageProgress, *, is_last: bool = False
) -> None:
    pace.look(*count.totals)
    await progress.show(count.share, pace.summary, is_last=is_last)


@task(name="train", task_run_name="train the student", **TASK)
async def train(order: Order) -> bool:
    """DeepSpeed training on the run's examples; whether it was done now."""
    opened = session(order)
    run, words = opened.run, TrainingWords()
    count, progress = _count(order, "train")

    def advance(report: StepReport) -> None:
        count.update(None, report.step, report.num_steps)
        words.advance(report)

    def work(go_on: Callable[[], None]) -> bool:
        with run.database() as database:
            return train_student(
                database, run.writer, store=run.corpus.store, plan=run.plan,
                config=opened.recipe.train, base=opened.recipe.models.student,
                held_out=opened.recipe.held_out(), hygiene=opened.recipe.hygiene,
                on_start=words.begin, on_progress=advance, on_note=words.note, go_on=go_on,
            )  # fmt: skip

    opened.timings.start("train")
    telling = asyncio.create_task(_keep_telling(opened, words, count, progress))
    try:
        is_new = await _in_thread(work)
    finally:
        telling.cancel()
    opened.timings.end("train", int(is_new))
    said = words.text.replace(", saving", "") if is_new else "nothing left to do"
    if not is_new:
        get_run_logger().info("train: the student was found trained")
    await progress.show(1.0, said, is_last=True)
    opened.terminal.finished(
        "train", shard=None, num_rows=int(is_new), num_rejected=0,
        seconds=opened.timings.seconds()["train"],
    )  # fmt: skip
    return is_new


async def _keep_telling(
    opened: Session, words: TrainingWords, count: StageCount, progress: StageProgress
) -> None:
    """The bar or lines, Prefect's progress and its log."""
    log = get_run_logger()
    while True:
        await asyncio.sleep(0.5)
        opened.terminal.advance("train", *count.totals, text=words.beside_bar)
        for line in words.lines():
            log.info("%s", line)
            opened.terminal.say_where_no_bars_are(f"  train: {line}")
        await progress.show(count.share if count.pending else 0.0, words.text)
        done, pending = count.totals
        opened.tell("train", done=done, pending=pending, text=words.text)
