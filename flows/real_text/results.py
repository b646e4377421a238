"""What a corpus has of the design: scores beside labels, and students with what they read.

Invariants: every number is of stored rows, read run by run through the selected run's views; the
rows are plain, so that what judges them (verdicts.py) needs no corpus.

A sample: Results(students=[TaughtStudent(arm="all", seed=1, read={"p1": Reading(...)}, ...)])
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flows.real_text.design import Asked, Student
from flows.real_text.state import is_done, is_read, seconds_by_stage, weights_of
from flows.replication.state import reading, select_order

if TYPE_CHECKING:
    from sql.database import Database

Row = dict[str, Any]
MEASURES = ("answer", "solution", "answer_behind_solution")


@dataclass(frozen=True, kw_only=True)
class TaughtStudent:
    """An arm with a seed, done."""

    arm: str
    seed: int
    taught: Row  # taught_scores.sql
    read: tuple[Row, ...]  # held_out_likelihoods.sql
    answers: tuple[Row, ...]  # real_answers.sql, of the trained
    base_answers: tuple[Row, ...] = ()


@dataclass(kw_only=True)
class Results:
    """Of a corpus."""

    labelled: list[Row] = field(default_factory=list)  # labelled_scores.sql
    base: list[Row] = field(default_factory=list)  # held_out_likelihoods.sql, untaught
    students: list[TaughtStudent] = field(default_factory=list)
    num_students: int = 0
    seconds: Counter[str] = field(default_factory=Counter)  # stage -> of all runs, one core each


def read_results(asked: Asked) -> Results:
    """Everything that is done of what was asked."""
    students = asked.students()
    found = Results(num_students=len(students))
    with reading(asked.corpus) as database:
        if database is None:
            return found
        labelled, base = asked.labelled_order(), asked.reading_order(None)
        if is_done(database, labelled):
            found.labelled = _rows(database, "labelled_scores")
            found.seconds.update({"labelled": sum(seconds_by_stage(database).values())})
        if is_done(database, base):
            found.base = _rows(database, "held_out_likelihoods")
            found.seconds.update({"read": sum(seconds_by_stage(database).values())})
        for student in students:
            if is_read(database, asked, student):
                found.students.append(_student(database, asked, student, found.seconds))
    return found


def _student(
    database: Database, asked: Asked, student: Student, seconds: Counter[str]
) -> TaughtStudent:
    weights = weights_of(database, student)
    answers = _rows(database, "real_answers")
    (taught, *_) = _rows(database, "taught_scores")
    seconds.update(seconds_by_stage(database))
    select_order(database, asked.reading_order(weights))
    seconds.update({"read": sum(seconds_by_stage(database).values())})
    return TaughtStudent(
        arm=student.arm, seed=student.seed, taught=taught,
        read=tuple(_rows(database, "held_out_likelihoods")),
        answers=tuple(row for row in answers if row["role"] == "trained"),
        base_answers=tuple(row for row in answers if row["role"] == "base"),
    )  # fmt: skip


def _rows(database: Database, name: str) -> list[Row]:
    return database.run_file("analyses", name).records()
