"""What Prefect is told of a run: its name and tags, its log, and how it ended.

Crashed is only said of the killed: a run that a signal or a person ended is Cancelled, and one that
failed has the error's own line as its state's message.

Role: a session leaves a note of its flow run under the corpus' lock and takes it out at its end. A
note found by the next session is of a process that is dead, for the lock was free: its flow runs
and task runs are set to Crashed, which also frees the slot of a deployment's concurrency limit.
Invariants: only runs that a note names, and what ran inside them, are touched, and only where they
have not ended; a server that is away, or another one, is a line and never a failure.

A sample note: {"flow_run": "0f6c...", "name": "liter nano", "api": "http://127.0.0.1:4200/api",
"pid": 4711, "host": "node3", "since": "2026-01-02T03:04:05+00:00"}
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flows.errors import reason

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State, TaskRun

INTERRUPTED = "Interrupted. What is finished is saved: run the same command again to go on."
CANCELLED = "Cancelled. What is finished is saved: run the same command again to go on."
# What Prefect writes of a flow that a signal or a cancelled task has ended, by its beginning.
PREFECTS_WORDS = ("Execution was cancelled", "Execution was aborted by a")
CANCELLING = {"CANCELLING", "CANCELLED"}
WAS_RUNNING = {"RUNNING", "CANCELLING"}
LOOK_EVERY_S = 3.0
RUN, ID_DIGITS = " · run ", 8  # in a flow run's name
TELLING = ("litecot", "infra.hosting")  # loggers
PAGE = 200  # Prefect's own limit of one answer
Note = dict[str, Any]

_cancelled: set[UUID] = set()  # in this process, by somebody who told Prefect


@dataclass(frozen=True)
class CurrentRun:
    """The flow run that a flow's code runs in; `inside` are it and those within it."""

    flow_run_id: UUID
    name: str
    api: str
    is_of_worker: bool  # whose worker ends it when it is cancelled
    tags: frozenset[str] = frozenset()
    inside: set[UUID] = field(default_factory=set)

    def note(self, holder: Note) -> Note:
        """To be left under the lock by `holder`."""
        told = {"flow_run": str(self.flow_run_id), "name": self.name, "api": self.api}
        return {**holder, **told}


def current_run() -> CurrentRun | None:
    """None outside a flow; loads no Prefect."""
    if "prefect" not in sys.modules:
        return None
    from prefect.context import FlowRunContext
    from prefect.settings import PREFECT_API_URL

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return None
    run = context.flow_run
    return CurrentRun(
        run.id, run.name, PREFECT_API_URL.value() or "", run.deployment_id is not None,
        frozenset(run.tags), {run.id},
    )  # fmt: skip


# --- what a run says of itself


def labelled(current: CurrentRun, run_id: str, tags: Iterable[str]) -> CurrentRun:
    """Add to the flow run's name which rows it works on, and these tags; a server that is away is
    no failure."""
    from prefect.client.orchestration import get_client

    name = f"{current.name.partition(RUN)[0]}{RUN}{run_id[:ID_DIGITS]}"
    with suppress(Exception), get_client(sync_client=True) as client:
        client.update_flow_run(current.flow_run_id, name=name, tags=sorted({*current.tags, *tags}))
        return replace(current, name=name)
    return current


@contextmanager
def engines_in_log() -> Iterator[None]:
    """Inside, what engines, endpoints and corpora have to say is in the flow run's log too."""
    from prefect import get_run_logger

    handler = _Forward(get_run_logger())
    before = [(log, log.level) for log in map(logging.getLogger, TELLING)]
    for log, _ in before:
        log.setLevel(logging.INFO)
        log.addHandler(handler)
    try:
        yield
    finally:
        for log, level in before:
            log.removeHandler(handler)
            log.setLevel(level)


class _Forward(logging.Handler):
    """From whatever thread: the flow run's logger knows its flow run itself."""

    def __init__(self, log: Any) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, "%s", record.getMessage())


# --- the next run speaks for the dead


def mend(notes: Sequence[Note], current: CurrentRun) -> tuple[list[str], list[Note]]:
    """Lines for a person, and the notes that are kept because nobody here knows their flow run."""
    from prefect import get_run_logger
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    lines: list[str] = []
    kept: list[Note] = []
    for note in notes:
        try:
            dead = UUID(note["flow_run"])
            with get_client(sync_client=True) as client:
                if dead != current.flow_run_id and _crash(client, dead, _epitaph(note, current)):
                    lines.append(
                        f"flow run {note['name']!r} of process {note['pid']} on {note['host']}, "
                        f"which was killed, is now Crashed in Prefect; this run goes on from there"
                    )
        except ObjectNotFound:
            kept.append(note | {"is_told": True})
            if not note.get("is_told"):
                lines.append(_unknown(note, current, "does not know it"))
        except Exception as error:  # whatever Prefect says of the dead, the living go on
            kept.append(note)
            lines.append(_unknown(note, current, f"says {type(error).__name__}"))
    for line in lines:
        get_run_logger().warning(line)
    return lines, kept


def _epitaph(note: Note, current: CurrentRun) -> str:
    return (
        f"Its process ({note['pid']} on {note['host']}, since {note['since']}) was killed. What "
        f"was finished is saved; flow run {current.name!r} ({current.flow_run_id}) goes on."
    )


def _unknown(note: Note, current: CurrentRun, fault: str) -> str:
    return (
        f"flow run {note.get('name')!r} of a process that was killed may still be Running at "
        f"{note.get('api')}: {current.api} {fault}"
    )


def _crash(client: SyncPrefectClient, dead: UUID, message: str) -> bool:
    """Whether `dead` was running, so far as its server knew. Raises ObjectNotFound."""
    from prefect.states import Crashed

    outermost = client.read_flow_run(dead)
    inner = list(_inside(client, [dead]))
    for task in _unended_tasks(client, [dead, *(run.id for run in inner)]):
        client.set_task_run_state(task, Crashed(message=message), force=True)
    for run in reversed(inner):
        if run.state is None or not run.state.is_final():
            client.set_flow_run_state(run.id, Crashed(message=message))
    if outermost.state is None or outermost.state.type.value not in WAS_RUNNING:
        return False  # it ended, or is to be started again
    client.set_flow_run_state(dead, Crashed(message=message))
    return True


def _inside(client: SyncPrefectClient, parents: list[UUID]) -> Iterator[FlowRun]:
    """Flow runs within those, the outer ones first."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId

    of_these = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=parents))
    while parents:
        found = client.read_flow_runs(flow_run_filter=of_these, limit=PAGE)
        yield from found
        parents = [run.id for run in found]
        of_these = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=parents))


def _unended_tasks(client: SyncPrefectClient, flow_runs: list[UUID]) -> list[UUID]:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    of_these = FlowRunFilter(id=FlowRunFilterId(any_=flow_runs))
    tasks: list[TaskRun] = []
    while page := client.read_task_runs(flow_run_filter=of_these, limit=PAGE, offset=len(tasks)):
        tasks += page
    return [task.id for task in tasks if task.state is None or not task.state.is_final()]


# --- a run that somebody cancels in Prefect, and one that is interrupted


@contextmanager
def cancelled_with(current: CurrentRun) -> Iterator[None]:
    """Inside, the asyncio task is cancelled once the flow run is, in Prefect's UI or API.

    Prefect itself tells nobody: only what a worker started has a process that it could end.
    """
    task = _current_task()
    if current.is_of_worker or task is None:
        yield
        return
    watching = asyncio.create_task(_watch(current, task))
    try:
        yield
    finally:
        watching.cancel()


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop
        return None


async def _watch(current: CurrentRun, task: asyncio.Task[Any]) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    async with get_client() as client:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            of_these = FlowRunFilter(id=FlowRunFilterId(any_=list(current.inside)))
            with suppress(Exception):  # the server is away: no reason to stop
                found = await client.read_flow_runs(flow_run_filter=of_these)
                if any(run.state_type in CANCELLING for run in found):
                    _cancelled.update(current.inside)
                    task.cancel()
                    return


def say_how_to_go_on(flow: Any, flow_run: FlowRun, state: State) -> None:
    """A hook of every flow: where a signal ended it, or somebody cancelled it, its state says so.

    Prefect's own words are those of a fault ("cancelled by the runtime environment").
    """
    from prefect.client.orchestration import get_client
    from prefect.logging.loggers import flow_run_logger

    if state.is_cancelling():  # a worker's: it writes the state that follows itself
        return flow_run_logger(flow_run, flow).warning(CANCELLED)
    if flow_run.id in _cancelled:
        message = CANCELLED
    elif state.is_crashed() and (state.message or "").startswith(PREFECTS_WORDS):
        message = INTERRUPTED
    else:
        return
    with get_client(sync_client=True) as client:
        _cancel(client, flow_run.id, message)


def say_cancelled(current: CurrentRun | None) -> None:
    """Of a worker's run that is being cancelled, once all is saved: the worker itself says it only
    after it has loaded the flow anew, to look for hooks."""
    from prefect.client.orchestration import get_client

    if current is None or not current.is_of_worker:
        return
    with suppress(Exception), get_client(sync_client=True) as client:
        state = client.read_flow_run(current.flow_run_id).state
        if state is not None and state.is_cancelling():
            _cancel(client, current.flow_run_id, CANCELLED)


def _cancel(client: SyncPrefectClient, flow_run_id: UUID, message: str) -> None:
    from prefect.states import Cancelled

    client.set_flow_run_state(flow_run_id, Cancelled(message=message), force=True)
    for task in _ended_with(client, flow_run_id):
        client.set_task_run_state(task, Cancelled(message=message), force=True)


def _ended_with(client: SyncPrefectClient, flow_run_id: UUID) -> list[UUID]:
    """Its task runs that did not end by themselves."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterId,
        TaskRunFilter,
        TaskRunFilterState,
        TaskRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    types = [StateType.CRASHED, StateType.RUNNING, StateType.PENDING]
    state_type = TaskRunFilterStateType(any_=types)
    broken_off = TaskRunFilter(state=TaskRunFilterState(type=state_type, name=None))
    of_it = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    found = client.read_task_runs(flow_run_filter=of_it, task_run_filter=broken_off, limit=PAGE)
    return [task.id for task in found]


def say_why(flow: Any, flow_run: FlowRun, state: State) -> None:
    """A hook of every flow: one that failed over an error of ours has its line for a message."""
    from prefect.client.orchestration import get_client
    from prefect.states import Failed

    if (why := reason(state.message or "")) is None:
        return
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run.id, Failed(message=why), force=True)


TOLD: dict[str, Any] = {
    "on_crashed": [say_how_to_go_on],
    "on_cancellation": [say_how_to_go_on],
    "on_failure": [say_why],
}
