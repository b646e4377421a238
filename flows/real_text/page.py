"""The page of the replication on real text: verdicts and tables, all from rows of one corpus.

Role: from results to Markdown (page.md.jinja). Invariants: no number is written by hand; a page of
anything less than a whole size says so first, and of what it is.

A sample: page_text(asked, results, decide(read_design(), results))
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined

from flows.real_text.design import Asked, Measure, ScorerClaim, StudentClaim, read_design
from flows.real_text.results import MEASURES, Results
from flows.real_text.verdicts import (
    SCORED,
    Decided,
    better_by,
    by_question,
    dose,
    scorer_auc,
    size_of,
    values_of,
)
from flows.replication.words import p_words
from tasks.statistics.auc import Auc
from tasks.statistics.gains import Gain
from tasks.statistics.intervals import accuracy_of
from tasks.statistics.paired import Difference

TEMPLATE = Path(__file__).with_name("page.md.jinja")
Row = dict[str, Any]
DOSES: tuple[Measure, ...] = ("answer", "solution")


def page_text(
    asked: Asked, results: Results, decided: Sequence[Decided], *,
    origin: str = "the rows of one corpus",
) -> str:  # fmt: skip
    """The Markdown. `origin`: where its rows are from."""
    design, labelled = read_design(), results.labelled
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    steps = sorted({student.taught["num_steps"] for student in results.students})
    return template.render(
        asked=asked, origin=origin, margins=design.margins, is_whole=is_whole(asked, results),
        decided=decided,
        student=design.common["models.student.model"],
        num_done=len(results.students), num_students=results.num_students,
        minutes=round(sum(results.seconds.values()) / 60),
        counts={word: sum(one.word == word for one in decided)
                for word in ("holds", "does not hold", "undecided", "not run")},
        num_labelled=len(labelled), num_valid=sum(row["is_valid"] for row in labelled),
        num_right=sum(row["is_right"] for row in labelled), subjects=_subjects(results),
        num_pairs=scorer_auc(labelled, "length", by="problem_id").num_pairs,
        aucs=[auc_row(results, scorer) for scorer in SCORED],
        scorer_claims=[_claim(one) for one in decided if isinstance(one.claim, ScorerClaim)],
        student_claims=[_claim(one) for one in decided if isinstance(one.claim, StudentClaim)],
        steps=" or ".join(map(str, steps)) or "no",
        num_seeds=len({student.seed for student in results.students}),
        num_read=len({row["problem_id"] for row in results.base}),
        arms=[arm_row(results, arm) for arm in design.arms
              if any(student.arm == arm for student in results.students)],
        base=_base(results),
        doses=[{**found, "measure": measure} for measure in DOSES
               if (found := dose(results, measure))],
    )  # fmt: skip


def is_whole(asked: Asked, results: Results) -> bool:
    """Whether this is a size as it ships, done to its end."""
    is_done = len(results.students) == results.num_students
    return not asked.is_pilot and is_done and bool(results.labelled and results.base)


def _subjects(results: Results) -> list[str]:
    """Sets with mistakes behind right answers."""
    rows = [row for row in results.labelled if row["is_right"] and not row["is_valid"]]
    return sorted({row["subject"] for row in rows})


def auc_row(results: Results, scorer: str) -> Row:
    """A scorer's line: over all, among right answers, within questions, by set."""
    rows = results.labelled
    everyone, right = scorer_auc(rows, scorer), scorer_auc(rows, scorer, among="right")
    question = scorer_auc(rows, scorer, by="problem_id")
    return {
        "scorer": scorer, "all": _value(everyone), "all_around": _around(everyone),
        "right": _value(right), "right_around": _around(right),
        "question": _value(question), "question_around": _around(question),
        "subjects": {
            subject: _value(scorer_auc(rows, scorer, among="right", subject=subject))
            for subject in _subjects(results)
        },
    }  # fmt: skip


def arm_row(results: Results, arm: str) -> Row:
    """An arm's line, seeds averaged; gains over the base."""
    students = [student for student in results.students if student.arm == arm]
    taught = [student.taught for student in students]
    row: Row = {
        "arm": arm, "words": read_design().arms[arm].words,
        "mean_rd": _mean([one["mean_rd"] for one in taught], "{:.3f}"),
        "num_examples": _mean([one["num_examples"] for one in taught], "{:.0f}"),
        "train_tokens": _mean([one["train_tokens"] for one in taught], "{:,.0f}"),
    }  # fmt: skip
    for measure in MEASURES:
        base = dict(values_of(results.base, (), measure))
        found = better_by(by_question(students, arm, measure), base)
        row[measure] = f"{size_of(found):+.4f}" if found else ""
        row[f"{measure}_around"] = _gain_around(found)
    return {**row, **_accuracy([answer for one in students for answer in one.answers])}


def _base(results: Results) -> Row:
    told = {
        measure: _mean([row[measure] for row in results.base], "{:.4f}") for measure in MEASURES
    }
    answers = next((one.base_answers for one in results.students if one.base_answers), ())
    return {**told, **_accuracy(answers)}


def _accuracy(answers: Sequence[Row]) -> Row:
    if not answers:
        return {"accuracy": "", "accuracy_around": ""}
    asked: dict[str, list[int]] = {}
    for row in answers:
        asked.setdefault(row["problem_id"], []).append(row["is_correct"])
    found = accuracy_of(
        np.array([np.mean(values) for values in asked.values()]), np.arange(len(asked)),
        num_samples=np.array([len(values) for values in asked.values()]),
    )  # fmt: skip
    low, high = (100 * end for end in found.interval)
    return {"accuracy": f"{100 * found.value:.1f}%", "accuracy_around": f"{low:.1f} to {high:.1f}"}


def _mean(values: Sequence[float | None], form: str) -> str:
    given = [value for value in values if value is not None]
    return form.format(sum(given) / len(given)) if given else ""


def _value(found: Auc) -> str:
    return f"{found.value:.2f}" if np.isfinite(found.value) else ""


def _around(found: Auc) -> str:
    return f"{found.interval.low:.2f}-{found.interval.high:.2f}" if found.interval else ""


def _gain_around(found: Gain | Difference | None) -> str:
    if found is None or found.interval is None:
        return ""
    return f"{found.interval.low:+.4f} to {found.interval.high:+.4f}"


def effect_words(one: Decided) -> tuple[str, str]:
    """The effect and its interval, in the claim's unit."""
    if one.effect is None:
        return "", ""
    is_points = isinstance(one.claim, StudentClaim) and one.claim.measure == "accuracy"
    unit = "AUC" if isinstance(one.claim, ScorerClaim) else "points" if is_points else "nats"
    scale, form = (100, "{:+.1f}") if is_points else (1, "{:+.4f}" if unit == "nats" else "{:+.3f}")
    around = " to ".join(form.format(scale * end) for end in one.interval) if one.interval else ""
    return f"{form.format(scale * one.effect)} {unit}", around


def _claim(one: Decided) -> Row:
    effect, around = effect_words(one)
    p_value = p_words(one.p_value)
    return {
        **one.claim.model_dump(), "effect": effect, "interval": around, "word": one.word,
        "p": f"{p_value} of {one.num_tests}" if p_value else "",
        "seeds": f"{one.seeds_for} of {one.num_seeds}" if one.num_seeds else "",
    }  # fmt: skip
