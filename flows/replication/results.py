"""What a corpus has of the design: its students' answers, pooled over seeds, and what they rest on.

Invariant: every number is of stored rows, read variant by variant through the selected run's views.
A seed is a repetition: the answers to a question under all seeds are its samples.

A sample: pooled(students, "levels", "steps", compress=False).accuracy -> one value a question
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flows.replication.design import Asked, Budget, Variant
from flows.replication.state import is_done, reading, select_order
from tasks.statistics.outcomes import Outcomes

if TYPE_CHECKING:
    from sql.database import Database

Rows = list[dict[str, Any]]
LEVELS = ("easy", "medium", "hard")


@dataclass(frozen=True, kw_only=True)
class Student:
    """A variant that is done."""

    variant: Variant
    answers: Rows  # of the trained student, a row a question and prompt
    base: Rows  # of the base, where the variant asked it
    trained: dict[str, Any]  # replication_students.sql


@dataclass(kw_only=True)
class Results:
    """Of a corpus."""

    students: list[Student] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # variants that are not done
    rebounds: Rows = field(default_factory=list)  # rebound_by_level, with the seed
    candidates: Rows = field(default_factory=list)  # replication_candidates, with the seed
    invocations: Rows = field(default_factory=list)  # when something ran, and for how long

    @property
    def seconds(self) -> float:
        """In which a variant was being made, those at once counted once."""
        total, until = 0.0, ""
        for row in sorted(self.invocations, key=lambda row: str(row["started_at"])):
            start, end = max(row["started_at"], until), max(row["finished_at"], until)
            if start < end:
                total += (_time(end) - _time(start)).total_seconds()
            until = end
        return total

    @property
    def num_variants(self) -> int:
        """That were asked for."""
        return len(self.students) + len(self.missing)

    @property
    def seeds(self) -> list[int]:
        """Those of which anything is done."""
        return sorted({student.variant.seed for student in self.students})


def _time(iso: str) -> datetime:
    return datetime.fromisoformat(iso)


def read_results(asked: Asked) -> Results:
    """Everything that is done of what was asked."""
    found = Results()
    with reading(asked.corpus) as database:
        for variant in asked.variants():
            if database is not None and is_done(database, variant):
                _read(database, variant, found)
            else:
                found.missing.append(variant.name)
    return found


def _read(database: Database, variant: Variant, found: Results) -> None:
    select_order(database, variant.order)
    found.invocations += database.run_file("runs", "stage_seconds").records()
    answers = database.run_file("analyses", "replication_answers").records()
    (trained, *_) = database.run_file("analyses", "replication_students").records()
    found.students.append(
        Student(
            variant=variant,
            answers=[row for row in answers if row["role"] == "trained"],
            base=[row for row in answers if row["role"] == "base"],
            trained=trained,
        )
    )
    beside = {"rebound": ("rebound_by_level", found.rebounds),
              "rd-lowest": ("replication_candidates", found.candidates)}  # fmt: skip
    if variant.arm in beside and variant.budget == "steps":
        name, rows = beside[variant.arm]
        rows += [
            {**row, "seed": variant.seed} for row in database.run_file("analyses", name).records()
        ]


def pooled(
    students: Iterable[Student], arm: str, budget: Budget, *, compress: bool,
    level: str | None = None,
) -> Outcomes | None:  # fmt: skip
    """The answers of an arm's students, seeds as samples; None where there are none."""
    rows = [
        row
        for student in students
        if (student.variant.arm, student.variant.budget) == (arm, budget)
        for row in student.answers
    ]
    return outcomes_of(rows, compress=compress, level=level)


def outcomes_of(rows: Sequence[dict[str, Any]], *, compress: bool, level: str | None = None) -> (
    Outcomes | None
):  # fmt: skip
    """Rows of replication_answers, of any number of students."""
    asked: dict[str, Rows] = {}
    for row in rows:
        if row["compress"] == compress and level in (None, row["level"]):
            asked.setdefault(row["problem_id"], []).append(row)
    if not asked:
        return None
    groups = [asked[question] for question in sorted(asked)]
    samples = [sum(row["num_samples"] for row in group) for group in groups]

    def mean(name: str) -> list[float]:
        return [
            sum(row[name] * row["num_samples"] for row in group) / total
            for group, total in zip(groups, samples, strict=True)
        ]

    return Outcomes.of(
        sorted(asked),
        families=[group[0]["family"] for group in groups],
        num_samples=samples,
        num_correct=[sum(row["num_correct"] for row in group) for group in groups],
        num_cut_off=[sum(row["num_cut_off"] for row in group) for group in groups],
        mean_tokens=mean("mean_tokens"),
        mean_seconds=mean("mean_seconds"),
    )
