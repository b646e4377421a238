"""The run a flow works on: opened by the outermost flow, shared by its sub-flows and tasks.

Prefect passes plain values (an order, a stage's name, a shard's number); what they stand for is
looked up here. Invariants: one open Run an order in this process; one write lock a corpus, which
several runs open at once share (`runs_together`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from flows.flow_runs import (
    CurrentRun,
    cancelled_with,
    current_run,
    engines_in_log,
    labelled,
    mend,
)
from flows.progress.logs import escape_log_records
from flows.progress.pace import Pace
from flows.progress.terminal import StageCount, Terminal, silent_terminal
from flows.recipes.loading import load_recipe
from flows.recipes.plan import run_plan, training_plan
from flows.recipes.recipe import Recipe, RecipeError
from flows.recipes.secrets import load_secrets
from infra.engines.endpoint.parameters import LOGGER
from infra.runs.account import Account
from infra.runs.grading import ProcessGrader
from infra.runs.run import Run, process_grader
from infra.settings import load_settings
from infra.storage import CorpusError, CorpusWriter
from tasks.schemas import Invocation

if TYPE_CHECKING:
    from flows.progress.artifacts import StageProgress


TELL_EVERY_S = 1.0


class Order(BaseModel):
    """What a person asked for: a recipe and how it differs from the shipped one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str = Field(default="nano", description="A shipped recipe's name, or a TOML file.")
    corpus: str = Field(default="corpus", description="A folder, or s3://bucket/path.")
    problems: tuple[str, ...] = Field(
        default=(), description="Files or hub ids; empty: as the recipe has them."
    )
    rationales: tuple[str, ...] = Field(
        default=(), description="Files or hub ids of rationales, for a recipe that verifies them."
    )
    limit: int | None = Field(default=None, description="Use only the first so many problems.")
    seed: int | None = Field(default=None, description="Unset: as the recipe has it.")
    overrides: tuple[str, ...] = Field(
        default=(), description="Changes of the recipe: generate.num_candidates=8, and so on."
    )

    @property
    def title(self) -> str:
        """The recipe and what differs from it: "nano, limit 4, generate.num_candidates=8"."""
        recipe = PurePath(self.recipe).stem if self.recipe.endswith(".toml") else self.recipe
        inputs = [shortened(name) for name in (*self.problems, *self.rationales)]
        differs = [*inputs, *map(shortened, self.overrides)]
        differs += [] if self.limit is None else [f"limit {self.limit}"]
        differs += [] if self.seed is None else [f"seed {self.seed}"]
        told = [recipe, *differs[:MOST_DIFFERENCES]]
        if len(differs) > MOST_DIFFERENCES:
            told.append(f"{len(differs) - MOST_DIFFERENCES} more")
        return ", ".join(told)

    @property
    def evaluated(self) -> str:
        """The model that an order of `litecot evaluate` asks."""
        values = dict(override.partition("=")[::2] for override in self.overrides)
        named = values.get("evaluate.name") or values.get("models.student.model") or self.title
        return shortened(named.strip('"'))


MOST_DIFFERENCES, MOST_LETTERS = 4, 48  # that a run's name has of them, and of each


def shortened(text: str) -> str:
    """The end of a path, the beginning of anything else."""
    told = text if "=" in text else text.rpartition("/")[2] or text
    return told if len(told) <= MOST_LETTERS else f"{told[: MOST_LETTERS - 3]}..."


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
    paces: dict[str, Pace] = field(default_factory=dict)  # by stage, what bars and status say
    told_s: float = -TELL_EVERY_S  # when `tell` last wrote
    flow_run: CurrentRun | None = None  # the outermost flow's; None outside a flow
    making: asyncio.Lock = field(default_factory=asyncio.Lock)  # shared by runs together

    def elapsed_s(self) -> float:
        """Seconds since the run was opened."""
        return time.monotonic() - self.started_s

    def pace(self, stage: str) -> Pace:
        """Of a stage, its shards together."""
        if stage not in self.paces:
            self.paces[stage] = Pace(Account(), self.recipe.estimate.price)
        return self.paces[stage]

    def tell(self, stage: str, **more: Any) -> None:
        """Leave word of where the run is for `litecot status`, once a second at most."""
        now = self.elapsed_s()
        if now - self.told_s < TELL_EVERY_S:
            return
        self.told_s = now
        told = {name: pace.told() for name, pace in self.paces.items()}
        told.setdefault(stage, {}).update(more)
        self._leave_word(
            {
                "recipe": self.recipe.name, "started_at": self.started_at,
                "at": datetime.now(UTC).isoformat(timespec="seconds"), "stage": stage,
                "stages": told,
            },
        )  # fmt: skip

    def told_no_more(self) -> None:
        """The run has ended: whatever is found of it from now on would be of a killed one."""
        self._leave_word(None)

    def _leave_word(self, told: dict[str, Any] | None) -> None:
        with suppress(CorpusError):  # nobody's run fails because others cannot watch it
            self.run.writer.tell(self.run.run_id, told)


@dataclass(frozen=True, kw_only=True)
class Together:
    """What runs on one corpus share while they are open at once."""

    writer: CorpusWriter
    grader: ProcessGrader
    flow_run: CurrentRun | None  # the flow's that has them all inside
    # held by the one that makes rows others may want too: nothing is made, and paid, twice
    making: asyncio.Lock = field(default_factory=asyncio.Lock)


_open: dict[Order, Session] = {}
_together: dict[str, Together] = {}  # by corpus
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


def terminal_here() -> Terminal:
    """The one sessions report to."""
    return _terminals[-1] if _terminals else silent_terminal()


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


def is_open(order: Order) -> bool:
    """Whether an outer flow has it open, or runs on its corpus are open together."""
    return order in _open or order.corpus in _together


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
    terminal = terminal_here()
    plan = training_plan(recipe) if only_trains else run_plan(recipe)
    keys = {} if only_trains else load_secrets(recipe)
    shared = _together.get(order.corpus)
    with Run(
        plan, corpus=order.corpus, settings=load_settings(), secrets=keys,
        writer=shared.writer if shared else None, grader=shared.grader if shared else None,
    ) as run:  # fmt: skip
        opened = _open[order] = Session(order=order, recipe=recipe, run=run, terminal=terminal)
        opened.counts_before = run.writer.counts()
        opened.tell("ingest", text="problems are read")
        status = "failed"
        try:
            if shared:
                opened.flow_run, opened.making = shared.flow_run, shared.making
                _join(opened)
                yield opened
            else:
                label = Label(plan.run_id, (recipe.name, f"corpus:{order.corpus}"))
                with known_to_prefect(run.writer, terminal, label) as opened.flow_run:
                    yield opened
            status = "done"
        except BaseException as error:
            status = "failed" if isinstance(error, Exception) else "interrupted"
            raise
        finally:
            del _open[order]
            _record(opened, status)


@contextmanager
def runs_together(corpus: str) -> Iterator[Together]:
    """Orders on `corpus` that are opened inside may be open at once: they share its one writer."""
    settings = load_settings()
    grader = process_grader(settings)
    terminal = terminal_here()
    try:
        with CorpusWriter(corpus) as writer, known_to_prefect(writer, terminal) as flow_run:
            shared = Together(writer=writer, grader=grader, flow_run=flow_run)
            _together[corpus] = shared
            try:
                yield shared
            finally:
                del _together[corpus]
    finally:
        grader.close()


@dataclass(frozen=True)
class Label:
    """What a flow run's name and tags say of its rows."""

    run_id: str
    tags: tuple[str, ...]


@contextmanager
def known_to_prefect(
    writer: CorpusWriter, terminal: Terminal, label: Label | None = None
) -> Iterator[CurrentRun | None]:
    """Speak for flow runs whose process died with this corpus open, and leave a note of this one.

    The note is taken out in the end, however it ends; only who is killed leaves one. None: there is
    no flow.
    """
    if (current := current_run()) is None:
        yield None
        return
    if label is not None:
        current = labelled(current, label.run_id, label.tags)
    lines, kept = mend(writer.notes, current)
    for line in lines:
        terminal.say(f"  {line}")
    writer.keep_notes([*kept, current.note(writer.holder)])
    try:
        with cancelled_with(current), engines_in_log():
            yield current
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
    opened.told_no_more()
    opened.run.write(opened.started_at, [invocation(opened, status)], stage="ingest")
    opened.run.writer.compact()
