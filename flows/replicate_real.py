"""The papers' effects on real text with a real student: labels, students, held-out questions.

Role: runs everything of flows/real_text/design.toml through the product's own flows. Invariants:
all of it is rows of one corpus, so what is done is not done again; what fails stops nothing else.
The labelled rationales are scored on one core while students train and read on the others.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from prefect import flow

from flows.corpus import corpus as corpus_flow
from flows.evaluate import evaluate as evaluate_flow
from flows.flow_runs import TOLD
from flows.real_text.design import Asked, Student
from flows.real_text.state import left_to_do, prepare, weights_of
from flows.replication.design import cores
from flows.replication.side_by_side import Outcome, Part, run_parts
from flows.replication.state import reading
from flows.session import Order, open_session
from flows.train import train as train_flow

LABELS = "labelled rationales"
BASE = "base reads"


@flow(name="replicate-real-scores", flow_run_name="{name}", **TOLD)
async def score_alone(name: str, order: Order) -> None:
    """Rationales verified and scored, nothing else."""
    with open_session(order):
        await corpus_flow.fn(order)


@flow(name="replicate-real-student", flow_run_name="{name}", **TOLD)
async def make_student(name: str, order: Order) -> None:
    """One student, from its pool to its answers."""
    with open_session(order) as opened:
        async with opened.making:
            await corpus_flow.fn(order)
        await train_flow.fn(order)
        await evaluate_flow.fn(order)


@flow(name="replicate-real", **TOLD)
async def replicate_real(asked: Asked) -> Outcome:
    """Everything that is not done. Raises CorpusError where nothing more can be stored."""
    started = time.monotonic()
    await asyncio.to_thread(prepare, asked)
    orders, students = await asyncio.to_thread(left_to_do, asked)
    total = 2 + len(asked.students())
    outcome = Outcome(num_parts=total, num_done_before=total - len(orders) - len(students))
    parts: dict[str, Part] = {
        **{_name(asked, order): partial(score_alone, _name(asked, order), order)
           for order in orders},
        **{student.name: partial(_student, asked, student) for student in students},
    }  # fmt: skip
    await run_parts(parts, asked.corpus, outcome, at_once=cores())
    outcome.seconds = time.monotonic() - started
    return outcome


def _name(asked: Asked, order: Order) -> str:
    return LABELS if order == asked.labelled_order() else BASE


async def _student(asked: Asked, student: Student) -> None:
    """Trained and asked, then handed what is held out, to read."""
    await make_student(student.name, student.order)

    def weights() -> Order:
        with reading(asked.corpus) as database:
            found = None if database is None else weights_of(database, student)
        assert found is not None, "a student that was trained has weights"
        return asked.reading_order(found)

    await score_alone(f"{student.name} reads", await asyncio.to_thread(weights))
