"""The run a flow works on: opened by the outermost flow, shared by its sub-flows and tasks.

Prefect passes plain values (an order, a stage's name, a shard's number); what they stand for is
looked up here. Invariant: one open Run an order in this process, so one write lock.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from flows.flow_runs import CurrentRun, cancelled_with, current_run, mend
from flows.progress.logs import escape_log_records
from flows.progress.terminal import StageCount, Terminal, silent_terminal
from flows.recipes.loading import load_recipe
from flows.recipes.plan import run_plan, training_plan
from flows.recipes.recipe import Recipe, RecipeError
from flows.recipes.secrets import load_secrets
from infra.engines.endpoint.parameters import LOGGER
from infra.runs.run import Run
from infra.settings import load_settings
from tasks.schemas import Invocation

if TYPE_CHECKING:
    from flows.progress.artifacts import StageProgress


class Order(BaseModel):
    """What a person asked for: a recipe and how it differs from the shipped one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str = "nano"
    corpus: str = "corpus"
    problems: tuple[str, ...] = ()
    rationales: tuple[str, ...] = ()
    limit: int | None = None
    seed: int | None = None
    overrides: tuple[str, ...] = ()


DEFAULT = Order()


@dataclass
class Timings:
    """Wall seconds and new rows by stage, shards overlapping."""

    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    def start(self, stage: str) -> None:
        self.first.setdefault(stage, time.monotonic())

    def end(self, stage: str, num_rows: int) -> None:
        self.last[stage] = time.monotonic()
        self.rows[stage] = self.rows.get(stage, 0) + num_rows

    def seconds(self) -> dict[str, float]:
        """From a stage's first start to its last end, with work in it."""
        return {stage: round(end - self.first[stage], 3) for stage, end in self.last.items()}


@dataclass
class Session:
    """An open run with everything the flows need to know of it."""

    order: Order
    recipe: Recipe
    run: Run
    terminal: Terminal
    timings: Timings = field(default_factory=Timings)
    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    counts_before: tuple[int, int] = (0, 0)
    started_s: float = field(default_factory=time.monotonic)
    counts: dict[str, StageCount] = field(default_factory=dict)  # by stage, as terminals show it
    progress: dict[str, StageProgress] = field(default_factory=dict)  # by stage, for Prefect's UI
    flow_run: CurrentRun | None = None  # the outermost flow's; None outside a flow

    def elapsed_s(self) -> float:
        """Seconds since the run was opened."""
        return time.monotonic() - self.started_s


_open: dict[Order, Session] = {}
_terminals: list[Terminal] = []


def resolve_recipe(order: Order) -> Recipe:
    """The order's recipe with its changes applied. Raises RecipeError."""
    recipe = load_recipe(
        order.recipe,
        overrides=order.overrides,
        seed=order.seed,
        limit=order.limit,
        problems=[*order.problems, *order.rationales] or None,
    )
    wants_candidates = "verify" in recipe.stages
    if order.rationales and not wants_candidates:
        raise RecipeError(
            f"recipe {recipe.name} writes its own rationales; --rationales goes with a recipe that "
            "has the stage 'verify', e.g. morsd"
        )
    candidates = "require" if wants_candidates else "ignore"
    source = recipe.source.model_copy(update={"candidates": candidates})
    return recipe.model_copy(update={"source": source})


@contextmanager
def shown_on(terminal: Terminal) -> Iterator[None]:
    """Sessions opened inside report to `terminal`."""
    _terminals.append(terminal)
    notes = _Notes(terminal)
    logging.getLogger(LOGGER).addHandler(notes)
    try:
        yield
    finally:
        logging.getLogger(LOGGER).removeHandler(notes)
        _terminals.remove(terminal)


class _Notes(logging.Handler):
    """What endpoints have to say goes to the terminal, a line each."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.WARNING)
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        self._terminal.say(f"  {record.getMessage()}")


def session(order: Order) -> Session:
    """The open session of `order`; a task asks for it."""
    return _open[order]


@contextmanager
def open_session(order: Order, *, only_trains: bool = False) -> Iterator[Session]:
    """Open the order's run, or join it where an outer flow has it open.

    `only_trains`: no model is asked, so none but the student has to be here, and no key.
    """
    if order in _open:
        _join(_open[order])
        yield _open[order]
        return
    escape_log_records()
    recipe = resolve_recipe(order)
    terminal = _terminals[-1] if _terminals else silent_terminal()
    plan = training_plan(recipe) if only_trains else run_plan(recipe)
    keys = {} if only_trains else load_secrets(recipe)
    with Run(plan, corpus=order.corpus, settings=load_settings(), secrets=keys) as run:
        opened = _open[order] = Session(order=order, recipe=recipe, run=run, terminal=terminal)
        opened.counts_before = run.writer.counts()
        status = "failed"
        try:
            with known_to_prefect(opened):
                yield opened
            status = "done"
        except BaseException as error:
            status = "failed" if isinstance(error, Exception) else "interrupted"
            raise
        finally:
            del _open[order]
            _record(opened, status)


@contextmanager
def known_to_prefect(opened: Session) -> Iterator[None]:
    """Speak for flow runs whose process died with this corpus open, and leave a note of this one.

    The note is taken out in the end, however it ends; only who is killed leaves one.
    """
    if (current := current_run()) is None:
        yield
        return
    opened.flow_run, writer = current, opened.run.writer
    lines, kept = mend(writer.notes, current)
    for line in lines:
        opened.terminal.say(f"  {line}")
    writer.keep_notes([*kept, current.note(writer.holder)])
    try:
        with cancelled_with(current):
            yield
    finally:
        writer.keep_notes(kept)


def _join(opened: Session) -> None:
    inner = current_run()
    if opened.flow_run is not None and inner is not None:
        opened.flow_run.inside.add(inner.flow_run_id)


def invocation(opened: Session, status: str = "done") -> Invocation:
    """What this invocation has done so far."""
    issued, repeated = opened.run.writer.counts()
    issued_before, repeated_before = opened.counts_before
    return Invocation(
        started_at=opened.started_at,
        finished_at=datetime.now(UTC).isoformat(),
        status=status,
        stage_seconds=json.dumps(opened.timings.seconds()),
        stage_rows=json.dumps(opened.timings.rows),
        num_requests=issued - issued_before,
        num_repeated=repeated - repeated_before,
    )


def _record(opened: Session, status: str) -> None:
    opened.run.write(opened.started_at, [invocation(opened, status)], stage="ingest")
    opened.run.writer.compact()
