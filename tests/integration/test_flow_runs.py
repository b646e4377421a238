"""What a note under the lock lets the next run say of a dead one: that, and of nobody else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest
import yaml
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.actions import ChangeFlowRunState, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Pending, Running, Scheduled

from flows.flow_runs import CurrentRun, Note, current_run, mend

KILLED_RUNS = Path(__file__).parents[2] / "flows" / "server" / "killed-runs.yaml"
FAILED_RUNS = KILLED_RUNS.with_name("failed-runs.yaml")
HOLDER = {"pid": 4711, "host": "node3", "since": "2026-01-02T03:04:05+00:00"}


@flow(name="liter")
def outer() -> None:
    """Stands for a run: only its records are made."""


@pytest.fixture(scope="module")
def client(prefect_server: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: prefect_server}), get_client(sync_client=True) as it:
        yield it


def note(flow_run: Any, *, api: str = "http://127.0.0.1:4200/api") -> Note:
    return {**HOLDER, "flow_run": str(flow_run), "name": "liter nano", "api": api}


def mended(notes: list[Note]) -> tuple[list[str], list[Note], CurrentRun]:
    """By a flow that runs."""

    @flow(name="next", log_prints=False)
    def going_on() -> tuple[list[str], list[Note], CurrentRun]:
        current = current_run()
        assert current is not None
        return *mend(notes, current), current

    return cast(tuple[list[str], list[Note], CurrentRun], going_on())


def started(client: SyncPrefectClient, state: Any, **more: Any) -> UUID:
    run = client.create_flow_run(outer, **more)
    client.set_flow_run_state(run.id, state, force=True)
    return run.id


def state_of(client: SyncPrefectClient, run: UUID) -> tuple[str, str]:
    state = client.read_flow_run(run).state
    assert state is not None
    return state.type.value, state.message or ""


def test_the_dead_and_what_ran_inside_are_crashed_and_nobody_else(
    client: SyncPrefectClient,
) -> None:
    dead, of_another_corpus = started(client, Running()), started(client, Running())
    within = client.create_task_run(outer_task(), dead, dynamic_key="0", state=Running())
    sub = started(client, Running(), parent_task_run_id=within.id)
    pending = client.create_task_run(outer_task(), sub, dynamic_key="1", state=Pending())
    finished = client.create_task_run(outer_task(), sub, dynamic_key="2", state=Completed())
    ended, to_be_started = (
        started(client, Completed(message="before")),
        started(client, Scheduled()),
    )
    lines, kept, current = mended([note(run) for run in (dead, ended, to_be_started)])
    assert lines == [
        "flow run 'liter nano' of process 4711 on node3, which was killed, is now Crashed in "
        "Prefect; this run goes on from there"
    ]
    assert kept == []
    kind, message = state_of(client, dead)
    assert kind == "CRASHED"
    for words in ("4711 on node3", "was killed", "is saved", str(current.flow_run_id), "goes on"):
        assert words in message
    assert state_of(client, sub) == (kind, message)
    for task, expected in ((within, "CRASHED"), (pending, "CRASHED"), (finished, "COMPLETED")):
        state = client.read_task_run(task.id).state
        assert state is not None
        assert state.type.value == expected
    assert state_of(client, of_another_corpus)[0] == "RUNNING"
    assert state_of(client, ended) == ("COMPLETED", "before")
    assert state_of(client, to_be_started)[0] == "SCHEDULED"


def outer_task() -> Any:
    from prefect import task

    @task(name="stage")
    def stage() -> None:
        """Stands for a task: only its record is made."""

    return stage


def test_the_slot_of_a_deployment_is_free_again(client: SyncPrefectClient) -> None:
    """Without waiting the minutes after which Prefect takes it back."""
    deployment = client.create_deployment(
        client.create_flow(outer), f"nightly-{uuid4()}",
        concurrency_limit=1,
    )  # fmt: skip
    first, second = (client.create_flow_run_from_deployment(deployment).id for _ in range(2))
    client.set_flow_run_state(first, Pending())
    client.set_flow_run_state(first, Running())
    client.set_flow_run_state(second, Pending())
    assert client.read_flow_run(second).state_name == "AwaitingConcurrencySlot"
    mended([note(first)])
    client.set_flow_run_state(second, Pending())
    assert client.read_flow_run(second).state_name == "Pending"


def test_a_run_does_not_crash_itself_when_it_is_started_again(client: SyncPrefectClient) -> None:
    @flow(name="again")
    def again() -> tuple[list[str], list[Note]]:
        current = current_run()
        assert current is not None
        return mend([note(current.flow_run_id)], current)

    state = cast(Any, again)(return_state=True)
    assert state.is_completed()
    assert state.result() == ([], [])


def test_what_this_server_does_not_know_is_said_once_and_kept(client: SyncPrefectClient) -> None:
    elsewhere = note(uuid4(), api="http://elsewhere:4200/api")
    lines, kept, current = mended([elsewhere])
    assert len(lines) == 1
    assert "may still be Running at http://elsewhere:4200/api" in lines[0]
    assert f"{current.api} does not know it" in lines[0]
    assert mended(kept)[:2] == ([], kept)


@pytest.mark.parametrize("torn", [{}, {"flow_run": "none"}, {"flow_run": None}])
def test_a_note_nobody_can_read_is_no_failure(client: SyncPrefectClient, torn: Note) -> None:
    assert len(mended([torn])[0]) == 1


def test_a_server_that_is_gone_is_no_failure(client: SyncPrefectClient) -> None:
    @flow(name="next")
    def going_on() -> tuple[list[str], list[Note]]:
        current = current_run()
        assert current is not None
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            gone = f"http://127.0.0.1:{unused.getsockname()[1]}/api"
            with temporary_settings({PREFECT_API_URL: gone}):
                return mend([note(uuid4())], current)

    lines, kept = going_on()
    assert len(lines) == len(kept) == 1
    assert "may still be Running" in lines[0]


def test_the_automation_for_killed_runs_is_one_that_prefect_takes() -> None:
    """By hand: killed at 00:41:10 and Crashed at 00:42:55, with heartbeats every 30 s."""
    automation = AutomationCore.model_validate(yaml.safe_load(KILLED_RUNS.read_text()))
    trigger, (action,) = automation.trigger, automation.actions
    assert isinstance(trigger, EventTrigger)
    ends = {f"prefect.flow-run.{end}" for end in ("Completed", "Failed", "Cancelled", "Crashed")}
    assert trigger.posture == Posture.Proactive
    assert trigger.after == {"prefect.flow-run.heartbeat"}
    assert trigger.expect == trigger.after | ends
    assert isinstance(action, ChangeFlowRunState)
    assert action.state.value == "CRASHED"


def test_the_automation_for_failed_runs_is_one_that_prefect_takes(prefect_server: str) -> None:
    """With a block that a person made, and the variables that its message names."""
    block = uuid4()
    text = FAILED_RUNS.read_text().replace("id: BLOCK", f"id: {block}")
    automation = AutomationCore.model_validate(yaml.safe_load(text))
    trigger, (action,) = automation.trigger, automation.actions
    assert isinstance(trigger, EventTrigger)
    assert trigger.expect == {"prefect.flow-run.Failed", "prefect.flow-run.Crashed"}
    assert isinstance(action, SendNotification)
    assert action.block_document_id == block
    checked = httpx.post(f"{prefect_server}/templates/validate", json=action.body)
    assert checked.status_code == 204, checked.text


def test_outside_a_flow_there_is_no_current_run() -> None:
    assert current_run() is None
