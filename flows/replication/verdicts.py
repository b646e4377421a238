"""Each claim of the papers: holds, does not hold, or undecided, by its paired test.

Role: which students a claim compares, and what the comparison says of it. Invariants: a claim is
about a method, so questions and seeds are both drawn (tasks/statistics/repeated.py); p values are
corrected (Holm) over all tests of one paper and metric; nothing is said of a claim whose arms are
not there.

holds: the corrected p is below 0.05 and the difference is in the claim's direction. does not hold:
it is in the other, or the difference is shown to lie within the margin. Else undecided.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from flows.replication.design import Budget, Claim, Design
from flows.replication.results import Results, Student, pooled
from tasks.statistics.outcomes import Outcomes, in_common
from tasks.statistics.paired import Comparison, Verdict, compare, verdicts
from tasks.statistics.repeated import Pair, over_repetitions

Word = Literal["holds", "does not hold", "undecided", "not run"]
FOR = {("accuracy", "more"): "better", ("accuracy", "less"): "worse",
       ("tokens", "less"): "shorter", ("tokens", "more"): "longer"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A claim at a budget. `comparison`: `a` measured against `b`; None where an arm is missing."""

    claim: Claim
    budget: Budget
    word: Word
    comparison: Comparison | None = None
    p_value: float | None = None  # corrected
    num_tests: int = 0  # that it was corrected for
    seeds_for: int = 0  # seeds whose own difference is in the claim's direction
    num_seeds: int = 0

    @property
    def effect(self) -> float | None:
        """Points of accuracy (0..1), or the ratio of tokens."""
        if self.comparison is None:
            return None
        found = self.comparison
        is_accuracy = self.claim.metric == "accuracy"
        return found.accuracy.difference if is_accuracy else found.tokens.value

    @property
    def interval(self) -> tuple[float, float] | None:
        """95%, of the effect, not corrected."""
        if self.comparison is None:
            return None
        found = self.comparison
        is_accuracy = self.claim.metric == "accuracy"
        return found.accuracy.interval if is_accuracy else found.tokens.interval


def decide(design: Design, claims: Sequence[Claim], results: Results) -> list[Decided]:
    """In the claims' order, budgets behind one another."""
    asked = [(claim, budget) for claim in claims for budget in design.budgets_of(claim)]
    paired = [_pairs(claim, budget, results.students) for claim, budget in asked]
    compared = [
        _compare(claim, budget, results.students, pairs)
        for (claim, budget), pairs in zip(asked, paired, strict=True)
    ]
    decided: list[Decided | None] = [
        Decided(claim=claim, budget=budget, word="not run") if one is None else None
        for (claim, budget), one in zip(asked, compared, strict=True)
    ]
    families = dict.fromkeys((claim.paper, claim.metric) for claim, _ in asked)
    for family in families:
        members = [
            (i, one)
            for i, ((claim, _), one) in enumerate(zip(asked, compared, strict=True))
            if (claim.paper, claim.metric) == family and one is not None
        ]
        found = verdicts(
            [one for _, one in members], margin=design.margin, token_margin=design.margin
        )
        for (i, one), verdict in zip(members, found, strict=True):
            decided[i] = _decided(*asked[i], one, verdict, paired[i])
    return [one for one in decided if one is not None]


def _pairs(claim: Claim, budget: Budget, students: Sequence[Student]) -> dict[int, Pair]:
    """Seed -> what the claim's `b` answered and what `a` did, of the seeds that both have."""
    seeds = sorted({student.variant.seed for student in students})
    sides = {seed: _sides(claim, budget, students, seeds=[seed]) for seed in seeds}
    return {seed: (b, a) for seed, (a, b) in sides.items() if a and b}


def _compare(
    claim: Claim, budget: Budget, students: Sequence[Student], pairs: Mapping[int, Pair]
) -> Comparison | None:
    a, b = _sides(claim, budget, students, seeds=pairs)
    return over_repetitions(compare(b, a), [*pairs.values()]) if a and b else None


def _sides(
    claim: Claim, budget: Budget, students: Sequence[Student], *, seeds: Container[int]
) -> tuple[Outcomes | None, Outcomes | None]:
    of_seeds = [student for student in students if student.variant.seed in seeds]
    a = pooled(of_seeds, claim.a, budget, compress=claim.a_compress, level=claim.level)
    b = pooled(of_seeds, claim.b, budget, compress=claim.b_compress, level=claim.level)
    return a, b


def word_of(claim: Claim, verdict: Verdict) -> Word:
    """What a verdict on `a` against `b` says of the claim."""
    said = verdict.accuracy if claim.metric == "accuracy" else verdict.tokens
    if said == "undecided":
        return "undecided"
    return "holds" if said == FOR[claim.metric, claim.direction] else "does not hold"


def _decided(
    claim: Claim, budget: Budget, found: Comparison, verdict: Verdict, pairs: Mapping[int, Pair]
) -> Decided:
    return Decided(
        claim=claim,
        budget=budget,
        word=word_of(claim, verdict),
        comparison=found,
        p_value=verdict.accuracy_p if claim.metric == "accuracy" else verdict.tokens_p,
        num_tests=verdict.num_tests,
        seeds_for=sum(_is_for(claim, a, b) for b, a in pairs.values()),
        num_seeds=len(pairs),
    )


def _is_for(claim: Claim, a: Outcomes, b: Outcomes) -> bool:
    """Whether the plain difference is in the claim's direction."""
    b, a = in_common(b, a)
    is_accuracy = claim.metric == "accuracy"
    gain = a.accuracy - b.accuracy if is_accuracy else a.mean_tokens - b.mean_tokens
    return bool(gain.mean() > 0 if claim.direction == "more" else gain.mean() < 0)
