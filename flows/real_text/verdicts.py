"""Each claim: holds, does not hold, or undecided, by its test.

Role: from plain rows (results.py) to what they say of the claims. Invariants: the question is the
unit, what a question has under several seeds is averaged first; p values are corrected (Holm) over
all claims of one kind: of scorers, of likelihoods, of accuracy; nothing is said of a claim whose
rows are not there.

holds: the corrected p is below 0.05, in the claim's direction and, of students, every seed's own
difference has that sign. does not hold: the same in the other direction, or shown to lie within the
margin.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from flows.real_text.design import Design, Measure, ScorerClaim, StudentClaim
from flows.real_text.results import Results, Row, TaughtStudent
from tasks.scorers import SCORERS
from tasks.statistics.auc import Auc, auc_of
from tasks.statistics.clusters import Interval
from tasks.statistics.gains import Gain, gain_of, within
from tasks.statistics.outcomes import Outcomes
from tasks.statistics.paired import ALPHA, Difference, difference_of, holm

Word = Literal["holds", "does not hold", "undecided", "not run"]
SCORED = ("rd", "ifd", "grape", "rsr", "naturalness", "length")
UNITS: dict[Measure, str] = {"answer": "nats", "solution": "nats", "accuracy": "points"}


@dataclass(frozen=True, kw_only=True)
class Decided:
    """`effect`: AUC above a coin's or another's; nats or points (0..1) by which `a` is better."""

    claim: ScorerClaim | StudentClaim
    word: Word = "not run"
    effect: float | None = None
    interval: Interval | None = None  # 95%, not corrected
    p_value: float | None = None  # corrected
    num_tests: int = 0
    seeds_for: int = 0
    num_seeds: int = 0


def decide(design: Design, results: Results) -> list[Decided]:
    """Scorers' claims, then students', in the file's order."""
    kinds: dict[str, list[_Tested]] = {}
    for scorer_claim in design.scorer_claims:
        tested = _test_scorer(scorer_claim, results.labelled, design.margins.auc)
        kinds.setdefault("auc", []).append(tested)
    for claim in design.student_claims:
        margin = design.margins.accuracy if claim.measure == "accuracy" else design.margins.nats
        kind = "accuracy" if claim.measure == "accuracy" else "likelihood"
        kinds.setdefault(kind, []).append(_test_students(claim, results.students, margin))
    found = {id(one.claim): done for kind in kinds.values() for one, done in _judged(kind)}
    return [found[id(claim)] for claim in (*design.scorer_claims, *design.student_claims)]


@dataclass(frozen=True, kw_only=True)
class _Tested:
    claim: ScorerClaim | StudentClaim
    effect: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    none_p: float | None = None  # of an effect within the margin
    seeds: tuple[float, ...] = ()  # the effect of each


def _judged(kind: Sequence[_Tested]) -> list[tuple[_Tested, Decided]]:
    p_values, none = holm([one.p_value for one in kind]), holm([one.none_p for one in kind])
    num_tests = sum(one.p_value is not None for one in kind)
    return [
        (one, Decided(
            claim=one.claim, word=_word(one, p_value, alike), effect=one.effect,
            interval=one.interval, p_value=p_value, num_tests=num_tests,
            seeds_for=sum(effect > 0 for effect in one.seeds), num_seeds=len(one.seeds),
        ))
        for one, p_value, alike in zip(kind, p_values, none, strict=True)
    ]  # fmt: skip


def _word(one: _Tested, p_value: float | None, alike: float | None) -> Word:
    if one.effect is None:
        return "not run"
    if p_value is not None and p_value < ALPHA:
        if any(effect * one.effect <= 0 for effect in one.seeds):
            return "undecided"
        return "holds" if one.effect > 0 else "does not hold"
    return "does not hold" if alike is not None and alike < ALPHA else "undecided"


# --- scorers


def scorer_auc(
    rows: Iterable[Row], scorer: str, *, against: str | None = None, subject: str | None = None,
    among: str = "all", by: str = "subject",
) -> Auc:  # fmt: skip
    """Of rationales that have a value: valid against mistaken ones of the same set.

    `by` "problem_id": of the same question. Families are questions.
    """
    names = [scorer] if against is None else [scorer, against]
    members = [
        row
        for row in rows
        if subject in (None, row["subject"]) and (among == "all" or row["is_right"])
        and all(row[name] is not None and np.isfinite(row[name]) for name in names)
    ]  # fmt: skip
    values = [[-SCORERS[name].sign * row[name] for row in members] for name in names]
    return auc_of(
        values[0], [row["is_valid"] for row in members], strata=[row[by] for row in members],
        clusters=[row["problem_id"] for row in members],
        against=values[1] if against is not None else None,
    )  # fmt: skip


def _test_scorer(claim: ScorerClaim, rows: Sequence[Row], margin: float) -> _Tested:
    if not rows:
        return _Tested(claim=claim)
    found = scorer_auc(rows, claim.scorer, against=claim.against, among=claim.among)
    coin = 0.5 if claim.against is None else 0.0
    if not np.isfinite(found.value):
        return _Tested(claim=claim)
    effect, around = found.value - coin, found.interval
    return _Tested(
        claim=claim, effect=effect, p_value=found.p_value,
        interval=around and Interval(around.low - coin, around.high - coin),
        none_p=within(effect, found.error, margin, found.num_families),
    )  # fmt: skip


# --- students


def by_question(
    students: Iterable[TaughtStudent], arm: str, measure: str, *, seed: int | None = None,
    benchmark: str | None = None,
) -> dict[str, float]:  # fmt: skip
    """Question -> the mean over an arm's students; likelihoods as log-probabilities a token, so
    more is better of every measure."""
    found: dict[str, list[float]] = {}
    for student in students:
        if student.arm != arm or seed not in (None, student.seed):
            continue
        for problem_id, value in values_of(student.read, student.answers, measure, benchmark):
            found.setdefault(problem_id, []).append(value)
    return {question: float(np.mean(values)) for question, values in found.items()}


def values_of(
    read: Iterable[Row], answers: Iterable[Row], measure: str, benchmark: str | None = None
) -> list[tuple[str, float]]:
    """(question, value) of one model's rows."""
    if measure == "accuracy":
        return [(row["problem_id"], float(row["is_correct"])) for row in answers]
    return [
        (row["problem_id"], -float(row[measure]))
        for row in read
        if benchmark in (None, row["benchmark"])
    ]


def better_by(
    a: dict[str, float], b: dict[str, float], measure: str = "answer"
) -> Gain | Difference | None:
    """`a` minus `b` on the questions both have; None where there is none.

    Of accuracies with half a question won and half a question lost (paired.py): students that
    answer nothing rightly are not known to be equal.
    """
    shared = sorted(a.keys() & b.keys())
    if not shared:
        return None
    gains = np.array([a[q] - b[q] for q in shared])
    if measure != "accuracy":
        return gain_of(gains, np.arange(len(shared)))
    nothing = [0] * len(shared)
    asked = Outcomes.of(
        shared, num_correct=nothing, num_samples=[1] * len(shared), mean_tokens=nothing,
        num_cut_off=nothing, mean_seconds=nothing,
    )  # fmt: skip
    return difference_of(gains, asked)


def size_of(found: Gain | Difference) -> float:
    """The gain, or the difference."""
    return found.value if isinstance(found, Gain) else found.difference


def _test_students(
    claim: StudentClaim, students: Sequence[TaughtStudent], margin: float
) -> _Tested:
    of_a, of_b = ({s.seed for s in students if s.arm == arm} for arm in (claim.a, claim.b))
    seeds = sorted(of_a & of_b)
    both = [student for student in students if student.seed in seeds]
    a, b = (by_question(both, arm, claim.measure) for arm in (claim.a, claim.b))
    found = better_by(a, b, claim.measure)
    if found is None:
        return _Tested(claim=claim)
    apart = [_of_seed(claim, both, seed) for seed in seeds]
    return _Tested(
        claim=claim, effect=size_of(found), interval=found.interval, p_value=found.p_value,
        none_p=within(size_of(found), found.error, margin, found.num_families),
        seeds=tuple(size_of(one) for one in apart if one is not None),
    )  # fmt: skip


def _of_seed(
    claim: StudentClaim, students: Sequence[TaughtStudent], seed: int
) -> Gain | Difference | None:
    a, b = (by_question(students, arm, claim.measure, seed=seed) for arm in (claim.a, claim.b))
    return better_by(a, b, claim.measure)


def dose(results: Results, measure: Measure) -> dict[str, Any] | None:
    """Whether students taught rationales of lower RD gained more: Spearman's rho over students,
    with the seed's mean taken off both; None with fewer than four, or no base."""
    from scipy import stats

    base = dict(values_of(results.base, (), measure))
    rows = [
        (student.seed, student.taught["mean_rd"], size_of(gain))
        for student in results.students
        if student.taught["mean_rd"] is not None
        and (gain := better_by(dict(values_of(student.read, (), measure)), base)) is not None
    ]
    if len(rows) < 4:
        return None
    seeds = np.array([seed for seed, _, _ in rows])
    rd, gained = (_centred(np.array([row[i] for row in rows]), seeds) for i in (1, 2))
    found = stats.spearmanr(rd, gained)
    return {"rho": float(found.statistic), "p": float(found.pvalue), "num_students": len(rows)}


def _centred(values: Any, seeds: Any) -> Any:
    means = {seed: values[seeds == seed].mean() for seed in np.unique(seeds)}
    return values - np.array([means[seed] for seed in seeds])
