"""Instruction-following difficulty: how little the question helps to foresee the rationale.

IFD(q, r) = nll(r | q) / nll(r). Invariant: None where the rationale alone is no surprise, so also
for an empty one; above 1 the question does not help.

A sample: nll(r | q) = ln 2, nll(r) = ln 4 -> 0.5
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.ports import ScoreRequest, TokenScores
from tasks.scorers.scorer import Scorer, Texts, mean_nll


def instruction_difficulty(given: TokenScores, unconditional: TokenScores) -> float | None:
    """IFD: cross-entropy behind the question over cross-entropy without; None for no surprise."""
    alone = mean_nll(unconditional)
    return mean_nll(given) / alone if alone > 0 else None


def _rationale_alone(texts: Texts) -> Sequence[ScoreRequest]:
    return [ScoreRequest(prompt=None, targets=(texts.rationale,))]


SCORER = Scorer(
    name="ifd",
    formula="nll(r | q) / nll(r)",
    unit="ratio",
    better="lower",
    source="IFD, arXiv 2308.12032",
    needs="q r · r",
    value=lambda scored: instruction_difficulty(scored.rationale, scored.beside[0]),
    beside=_rationale_alone,
    passes=lambda settings: 1.0,
)
