"""The one runner that drives any stage over any shard.

Role: pending records in, a bounded number in flight, every finished record durable at once.
Invariants: a record's rows are written together or not at all; one bad record never stops the
others, and one that waits to try again holds no slot among those in flight; what failed for a
passing reason is not recorded, so the same command tries it again.

A sample: `await run_stage(run, "rewrite", shard=3)` ->
    StageReport(stage="rewrite", shard=3, num_pending=50, num_rows=48, num_rejected=2, ...)
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any

from infra.engines.endpoint.refusals import EndpointError
from infra.runs.account import Account
from infra.runs.commits import Commits
from infra.runs.in_flight import Slot, Slots
from infra.runs.plan import StageRun
from infra.runs.ports import HostedModel
from infra.runs.replay import ReplayedChat
from infra.runs.retries import RetryingChat, RetryingScorer
from infra.runs.run import Run
from infra.storage import CorpusError
from tasks.errors import LitecotError
from tasks.ports import PermanentError, Ports
from tasks.prompts import PromptFiles
from tasks.schemas import Rationale, Rejection, Row
from tasks.stage import Record, Stage, usage_of

GIVE_UP_AFTER = 100  # records that failed one after another: the fault is not theirs
BATCH_RECORDS = 256  # taken from the query at once
LONG_TEXT = 2_000  # characters, from which counting its tokens takes longer than a thread does

ProgressCallback = Callable[[int, int], None]  # records done, records pending


class StageFailedError(LitecotError):
    """Some records could not be done now; all others are saved and the same command resumes.

    `num_rows`: rows that were saved all the same.
    """

    def __init__(self, message: str, *, num_rows: int = 0) -> None:
        super().__init__(message)
        self.num_rows = num_rows


class StepError(LitecotError):
    """A step broke the contract of its stage."""


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
    account: Account
    done: int = 0
    rows: int = 0
    rejected: int = 0
    failed: int = 0
    failed_in_a_row: int = 0
    first_failure: str = ""
    refusal: EndpointError | None = None  # the server will have none of it

    def count(self, rows: Sequence[Row]) -> None:
        rejected = sum(isinstance(row, Rejection) for row in rows)
        self.done += 1
        self.rejected += rejected
        self.rows += len(rows) - rejected
        self.account.num_rejected += rejected
        self.account.num_rows += len(rows) - rejected
        self.failed_in_a_row = 0

    def fail(self, record_id: str, fault: BaseException) -> None:
        if not self.failed:
            self.first_failure = f"record {record_id}: {type(fault).__name__}: {fault}"
        self.failed += 1
        self.account.num_failed += 1
        self.failed_in_a_row += 1
        if isinstance(fault, EndpointError):
            self.refusal = fault

    @property
    def is_hopeless(self) -> bool:
        """No record can succeed: trying all the others would only take long."""
        return self.refusal is not None or self.failed_in_a_row >= GIVE_UP_AFTER


async def run_stage(
    run: Run, name: str, *, shard: int | None = None, on_progress: ProgressCallback | None = None,
    account: Account | None = None,
) -> StageReport:  # fmt: skip
    """Do what is pending of stage `name` in `shard` (None: all shards), kept account of.

    Raises StageFailedError, EndpointError (a server refuses us, not a record) or CorpusError; what
    was finished is saved.
    """
    started = time.monotonic()
    stage = run.stage(name)
    pending = await asyncio.to_thread(run.pending, stage, shard)
    tally = _Tally(pending=pending.count, account=account or Account())
    notify = on_progress or (lambda done, total: None)
    notify(0, tally.pending)
    if tally.pending:
        if run.plan.counter.engine_type.has_checkpoint:  # a server that is evaluated has none
            # The tokenizer loads now: later it would hold up replies until they time out.
            await asyncio.to_thread(run.tokens.count, "")
        await _work_off(run, stage, _Feed(pending.records), shard, tally=tally, notify=notify)
    if tally.refusal:
        raise tally.refusal
    if tally.failed:
        raise _stage_failed(name, tally)
    return StageReport(
        stage=name,
        shard=shard,
        num_pending=tally.pending,
        num_rows=tally.rows,
        num_rejected=tally.rejected,
        seconds=time.monotonic() - started,
    )


async def _work_off(
    run: Run,
    stage: StageRun,
    feed: _Feed,
    shard: int | None,
    *,
    tally: _Tally,
    notify: ProgressCallback,
) -> None:
    """Do what `feed` gives, so many records at once. Raises CorpusError."""
    commits = Commits(run.writer)

    async def work() -> None:
        """Record after record: what ends is followed at once by the next request."""
        async with slots.taken() as slot:
            while not tally.is_hopeless and (fields := await feed.next()):
                rows = await _rows_of(run, stage, fields, commits=commits, slot=slot, tally=tally)
                if rows is not None:
                    group.create_task(store(rows))
                if slots.is_wanted:
                    break

    async def store(finished: _Finished) -> None:
        await _store(run, stage, finished, shard, commits=commits, tally=tally)
        notify(tally.done, tally.pending)

    slots = Slots(run.settings.in_flight, on_free=lambda: group.create_task(work()))
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(run.settings.in_flight, tally.pending)):
                group.create_task(work())
    except ExceptionGroup as stopped:  # the corpus cannot be written: one cause, said once
        raise stopped.exceptions[0] from None
    commits.commit()  # replies of records that failed
    await asyncio.to_thread(run.writer.flush)


class _Feed:
    """Pending records one by one, queried in a thread so that replies are taken meanwhile."""

    def __init__(self, records: Iterator[dict[str, Any]]) -> None:
        self._records = records
        self._batch: deque[dict[str, Any]] = deque()
        self._turn = asyncio.Lock()

    async def next(self) -> dict[str, Any] | None:
        """The next one; None after the last."""
        if not self._batch:
            async with self._turn:
                if not self._batch:
                    self._batch.extend(await asyncio.to_thread(self._query))
        return self._batch.popleft() if self._batch else None

    def _query(self) -> list[dict[str, Any]]:
        return list(islice(self._records, BATCH_RECORDS))


@dataclass(frozen=True, kw_only=True)
class _Finished:
    record_id: str
    rows: Sequence[Row]
    requests: Sequence[str]  # keys of what it asked


async def _rows_of(
    run: Run,
    stage: StageRun,
    fields: dict[str, Any],
    *,
    commits: Commits,
    slot: Slot,
    tally: _Tally,
) -> _Finished | None:
    """What a record comes to; None where it failed, which the tally is told."""
    record_id, affinity = fields["record_id"], fields["problem_id"] or ""
    hosts = {role: run.model(config, affinity=affinity) for role, config in stage.models.items()}
    chats = _chats(run, stage, hosts, commits=commits, slot=slot, account=tally.account)
    ports = Ports(
        prompts=PromptFiles(stage.config.prompt, stage.prompts),
        grader=run.grader,
        tokens=run.tokens,
        seed=run.seed,
        chat=dict(chats),
        scoring={
            role: RetryingScorer(host, max_attempts=run.settings.max_attempts, pause=slot.pause)
            for role, host in hosts.items()
        },
    )
    rows: Sequence[Row]
    try:
        record = stage.stage.record.from_row(fields)
        try:
            rows = checked_rows(stage.stage, await stage.stage.step(record, ports, stage.config))
        except PermanentError as error:
            rows = [_rejection(stage, record, error, chats)]
    except CorpusError:  # the disk, not the record: nothing more can be saved
        raise
    except (
        Exception,
        SystemExit,
    ) as error:  # a passing fault or a bug: named at the end, tried again next time
        tally.fail(record_id, error)
        return None
    requests = [key for chat in chats.values() for key in chat.keys]
    return _Finished(record_id=record_id, rows=rows, requests=requests)


def checked_rows(stage: Stage[Any, Any], rows: Sequence[Row]) -> Sequence[Row]:
    """Raises StepError for a row that resume would not find: its record would be paid for again."""
    for row in rows:
        if not isinstance(row, stage.writes | Rejection):
            raise StepError(
                f"stage {stage.name!r} returned {type(row).__name__}, and declares "
                f"writes={stage.writes.__name__}"
            )
        if isinstance(row, Rationale) and stage.makes and row.kind not in stage.makes:
            raise StepError(
                f"stage {stage.name!r} returned a chain of kind {row.kind!r}, and declares "
                f"makes={stage.makes}"
            )
    return rows


async def _store(
    run: Run,
    stage: StageRun,
    finished: _Finished,
    shard: int | None,
    *,
    commits: Commits,
    tally: _Tally,
) -> None:
    try:
        await commits.finish(
            finished.record_id,
            finished.rows,
            stage_fingerprint=stage.fingerprint,
            run_id=run.run_id,
            shard=shard,
            requests_done=finished.requests,
        )
    except CorpusError:
        raise
    except Exception as error:
        tally.fail(finished.record_id, error)
        return
    tally.count(finished.rows)


def _chats(
    run: Run,
    stage: StageRun,
    hosts: Mapping[str, HostedModel],
    *,
    commits: Commits,
    slot: Slot,
    account: Account,
) -> dict[str, ReplayedChat]:
    counts = issubclass(stage.stage.writes, Rationale)

    async def count(text: str) -> None:
        """In a thread, so that the step's own count, in this one, takes no time."""
        if counts and len(text) > LONG_TEXT:
            await asyncio.to_thread(run.tokens.count, text)

    return {
        role: ReplayedChat(
            RetryingChat(host, max_attempts=run.settings.max_attempts, pause=slot.pause),
            name=stage.names.get(role, stage.models[role].model),
            fingerprint=stage.fingerprint,
            journal=commits,
            on_text=count,
            on_paid=partial(account.pay, role),
        )
        for role, host in hosts.items()
    }


def _rejection(
    stage: StageRun, record: Record, error: PermanentError, chats: Mapping[str, ReplayedChat]
) -> Rejection:
    """What the record had cost when it was refused is on its account all the same."""
    paid = {chat.name: chat.paid for chat in chats.values() if chat.paid}
    return Rejection(
        record_id=record.record_id,
        problem_id=record.problem_id,
        stage=stage.stage.name,
        reason=error.reason,
        detail=error.detail,
        model=" + ".join(paid) or None,
        **usage_of(chain.from_iterable(paid.values())),
    )


def _stage_failed(name: str, tally: _Tally) -> StageFailedError:
    untried = "the others are saved"
    if tally.is_hopeless:
        untried = f"the last {tally.failed_in_a_row} in a row, so the rest was not tried"
    return StageFailedError(
        f"stage {name}: {tally.failed} of {tally.pending} records failed, {untried}; "
        f"run the same command again to try them. First: {tally.first_failure}",
        num_rows=tally.rows,
    )
