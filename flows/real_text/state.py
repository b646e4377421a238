"""What is done: from the corpus alone, without opening a run.

Invariants: an order is done when all of its stages have nothing left to do and it has made
something; a student is done when its order is, and it has read what is held out.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from flows.real_text.design import Asked, Student
from flows.real_text.sources import write_files
from flows.replication.state import is_pending, reading, seconds_of, select_order
from flows.session import Order
from infra.runs.plan import TRAIN
from infra.runs.weights import trained_weights
from infra.storage import Corpus

if TYPE_CHECKING:
    from sql.database import Database


def prepare(asked: Asked) -> None:
    """The problems' files. Raises UsageError."""
    scale = asked.scaled
    write_files(
        asked.files, asked.data, seeds=asked.seeds, labelled=scale.labelled, pool=scale.pool,
        read=scale.read, answered=scale.answered,
    )  # fmt: skip


def is_done(database: Database, order: Order) -> bool:
    """Whether nothing of it is left to do. Problems that are not there yet are left to do."""
    plan = select_order(database, order)
    if not database.rows_of("stg_scores").rows:
        return False
    if TRAIN in plan.fingerprints and not database.run_file("runs", "trained_models").rows:
        return False
    return not any(is_pending(database, run) for run in plan.stages.values())


def weights_of(database: Database, student: Student) -> Path | None:
    """The student's folder, once it is trained."""
    select_order(database, student.order)
    return trained_weights(database, Corpus(student.order.corpus).store)


def is_read(database: Database, asked: Asked, student: Student) -> bool:
    """Whether the student is trained, has answered, and has read what is held out."""
    if not is_done(database, student.order):
        return False
    weights = weights_of(database, student)
    return weights is not None and is_done(database, asked.reading_order(weights))


def left_to_do(asked: Asked) -> tuple[list[Order], list[Student]]:
    """Orders that score alone, and students, that are not done."""
    alone, students = [asked.labelled_order(), asked.reading_order(None)], asked.students()
    with reading(asked.corpus) as database:
        if database is None:
            return alone, students
        return (
            [order for order in alone if not is_done(database, order)],
            [student for student in students if not is_read(database, asked, student)],
        )


def seconds_by_stage(database: Database) -> dict[str, float]:
    """Stage -> seconds, all invocations of the selected run."""
    found: Counter[str] = Counter()
    for seconds in seconds_of(database):
        found.update(seconds)
    return dict(found)
