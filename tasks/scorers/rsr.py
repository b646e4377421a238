"""Rank-surprisal ratio: unlikely tokens that are yet among the student's first choices.

RSR(q, r) = sum of min(rank, rank_clip) / sum of surprisals, over r behind q. Invariant: None where
nothing is a surprise, so also for an empty rationale.

A sample: ranks 1 and 500 (clipped at 100), each of probability 1/2 -> 101 / (2 ln 2) = 72.9
"""

from __future__ import annotations

import math

from tasks.ports import TokenScores
from tasks.scorers.scorer import Scored, Scorer


def rank_surprisal_ratio(scores: TokenScores, *, rank_clip: int) -> float | None:
    """RSR: sum of clipped ranks over the sum of surprisals; None for no surprise at all."""
    surprisal = -math.fsum(scores.logprobs)
    ranks = sum(min(rank, rank_clip) for rank in scores.ranks)
    return ranks / surprisal if surprisal > 0 else None


def _value(scored: Scored) -> float | None:
    return rank_surprisal_ratio(scored.rationale, rank_clip=scored.texts.settings.rank_clip)


SCORER = Scorer(
    name="rsr",
    formula="sum of min(rank, `rank_clip`) / sum of negative log-likelihoods, over r behind q; "
    "rank = 1 + number of logits above the token's",
    unit="ranks a nat",
    better="lower",
    source="RSR, arXiv 2601.14249",
    needs="q r",
    value=_value,
)
