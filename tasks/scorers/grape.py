"""GRAPE: how likely the student itself would write the rationale.

GRAPE(q, r) = -nll(r | q). Invariant: at most 0; None for an empty rationale.

A sample: every token has probability 1/2 -> -0.693
"""

from __future__ import annotations

from tasks.scorers.scorer import Scored, Scorer, mean_nll


def _value(scored: Scored) -> float | None:
    return -mean_nll(scored.rationale) if scored.rationale.logprobs else None


SCORER = Scorer(
    name="grape",
    formula="-nll(r | q)",
    unit="nats a token",
    better="higher",
    source="GRAPE, arXiv 2502.04194",
    needs="q r",
    value=_value,
)
