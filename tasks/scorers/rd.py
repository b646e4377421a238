"""Rationale Difficulty: how much a rationale surprises less the answer (MoRSD section 3).

RD(q, r, a) = PPL(a | q, r) / PPL(a | q). Invariant: the answer has the same tokens with and without
the rationale, so an empty rationale has RD 1 (difference: 0). The only scorer computed always.

A sample: nll(a | q, r) = ln 2, nll(a | q) = ln 8 -> 0.25
"""

from __future__ import annotations

from tasks.scorers.scorer import RdForm, Scored, Scorer, mean_nll, perplexity


def rationale_difficulty(*, nll_given: float, nll_alone: float, form: RdForm) -> float:
    """RD from the answer's mean negative log-likelihood with and without the rationale."""
    difference = nll_given - nll_alone
    return perplexity(difference) if form == "ratio" else difference


def _value(scored: Scored) -> float:
    return rationale_difficulty(
        nll_given=mean_nll(scored.answer),
        nll_alone=mean_nll(scored.answer_alone),
        form=scored.texts.settings.rd_form,
    )


SCORER = Scorer(
    name="rd",
    formula='exp(nll(a | q, r)) / exp(nll(a | q)); `rd_form = "difference"`: '
    "nll(a | q, r) - nll(a | q)",
    unit="ratio of perplexities; difference: nats a token",
    better="lower",  # below 1 (difference: 0) the rationale helps
    source="MoRSD, arXiv 2509.23574, section 3; the form is our reading",
    needs="q r a · q a",
    value=_value,
)
