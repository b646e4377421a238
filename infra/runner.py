"""The one runner that drives any stage over any shard.

Role: pending records in, a bounded number in flight, every finished record durable at once.
Invariants: a record's rows are written together or not at all; one bad record never stops the
others; what failed for a passing reason is not recorded, so the same command tries it again.

A sample: `await run_stage(run, "rewrite", shard=3)` ->
    StageReport(stage="rewrite", shard=3, num_pending=50, num_rows=48, num_rejected=2, ...)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.replay import ReplayedChat
from infra.retries import RetryingChat, RetryingScorer
from infra.run import Run, StageRun
from infra.storage import CorpusError
from tasks.ports import PermanentError, Ports, TransientError
from tasks.prompts import PromptFiles
from tasks.schemas import Rejection, Row
from tasks.stage import Record

ProgressCallback = Callable[[int, int], None]  # records done, records pending


class StageFailedError(RuntimeError):
    """Some records could not be done now; all others are saved and the same command resumes.

    `is_transient`: every fault was a passing one, so trying again at once makes sense; `num_rows`:
    rows that were saved all the same.
    """

    def __init__(self, message: str, *, is_transient: bool, num_rows: int) -> None:
        super().__init__(message)
        self.is_transient = is_transient
        self.num_rows = num_rows


@dataclass(frozen=True, kw_only=True)
class StageReport:
    """What one stage did over one shard in this invocation."""

    stage: str
    shard: int | None
    num_pending: int
    num_rows: int
    num_rejected: int
    seconds: float


@dataclass
class _Tally:
    pending: int
    done: int = 0
    rows: int = 0
    rejected: int = 0
    failures: list[tuple[str, Exception]] = field(default_factory=list)  # record_id, fault

    def count(self, rows: Sequence[Row]) -> None:
        rejected = sum(isinstance(row, Rejection) for row in rows)
        self.done += 1
        self.rejected += rejected
        self.rows += len(rows) - rejected


async def run_stage(
    run: Run, name: str, *, shard: int | None = None, on_progress: ProgressCallback | None = None
) -> StageReport:
    """Do what is pending of stage `name` in `shard` (None: all shards). Raises StageFailedError."""
    started = time.monotonic()
    stage = run.stage(name)
    pending = await asyncio.to_thread(run.pending, stage, shard)
    tally = _Tally(pending=pending.count)
    notify = on_progress or (lambda done, total: None)
    notify(0, tally.pending)
    room = asyncio.Semaphore(run.settings.in_flight)

    def ended(_: asyncio.Task[None]) -> None:
        room.release()
        notify(tally.done, tally.pending)

    try:
        async with asyncio.TaskGroup() as group:
            for fields in pending.records:
                await room.acquire()
                task = group.create_task(_run_record(run, stage, fields, tally=tally))
                task.add_done_callback(ended)
    except ExceptionGroup as stopped:  # the corpus cannot be written: one cause, said once
        raise stopped.exceptions[0] from None
    if tally.pending:
        await asyncio.to_thread(run.writer.flush)
    if tally.failures:
        raise _stage_failed(name, tally)
    return StageReport(
        stage=name,
        shard=shard,
        num_pending=tally.pending,
        num_rows=tally.rows,
        num_rejected=tally.rejected,
        seconds=time.monotonic() - started,
    )


async def _run_record(run: Run, stage: StageRun, fields: dict[str, Any], *, tally: _Tally) -> None:
    record_id, affinity = fields["record_id"], fields["problem_id"] or ""
    chats = _chats(run, stage, affinity=affinity)
    ports = Ports(
        prompts=PromptFiles(stage.config.prompt),
        grader=run.grader,
        tokens=run.tokens,
        seed=run.seed,
        chat=dict(chats),
        scoring={
            role: RetryingScorer(run.model(config, affinity=affinity), run.settings.max_attempts)
            for role, config in stage.models.items()
        },
    )
    try:
        record = stage.stage.record.from_row(fields)
        rows = await _rows_of(record, ports, stage)
        run.writer.finish(
            record_id,
            rows,
            stage_fingerprint=stage.fingerprint,
            run_id=run.run_id,
            requests_done=[key for chat in chats.values() for key in chat.keys],
        )
    except CorpusError:  # the disk, not the record: nothing more can be saved
        raise
    except Exception as error:  # a passing fault or a bug: named at the end, tried again next time
        tally.failures.append((record_id, error))
        return
    tally.count(rows)


async def _rows_of(record: Record, ports: Ports, stage: StageRun) -> Sequence[Row]:
    try:
        rows: Sequence[Row] = await stage.stage.step(record, ports, stage.config)
    except PermanentError as error:
        return [_rejection(stage, record, error)]
    return rows


def _chats(run: Run, stage: StageRun, *, affinity: str) -> dict[str, ReplayedChat]:
    return {
        role: ReplayedChat(
            RetryingChat(run.model(config, affinity=affinity), run.settings.max_attempts),
            name=stage.names.get(role, config.model),
            fingerprint=stage.fingerprint,
            journal=run.writer,
        )
        for role, config in stage.models.items()
    }


def _rejection(stage: StageRun, record: Record, error: PermanentError) -> Rejection:
    return Rejection(
        record_id=record.record_id,
        problem_id=record.problem_id,
        stage=stage.stage.name,
        reason=error.reason,
        detail=error.detail,
    )


def _stage_failed(name: str, tally: _Tally) -> StageFailedError:
    record_id, fault = tally.failures[0]
    return StageFailedError(
        f"stage {name}: {len(tally.failures)} of {tally.pending} records failed, the others are "
        "saved; run the same command again to try them. "
        f"First: record {record_id}: {type(fault).__name__}: {fault}",
        is_transient=all(isinstance(fault, TransientError) for _, fault in tally.failures),
        num_rows=tally.rows,
    )
