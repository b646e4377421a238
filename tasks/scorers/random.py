"""Random: the control that chooses blindly.

Invariant: a function of the rationale's id and the run's seed, uniform in [0, 1); it asks no model
anything and the same recipe gives the same numbers on any machine.

A sample: rationale "ab12" under seed 7 -> 0.6431...
"""

from __future__ import annotations

from tasks.scorers.scorer import Scored, Scorer
from tasks.stage import derive_seed

_BITS = 53  # as many as a float holds: more would round up to 1.0
_STEP = 2.0**-_BITS


def random_value(rationale_id: str, *, seed: int) -> float:
    """In [0, 1)."""
    return (derive_seed("random scorer", seed, rationale_id) >> (63 - _BITS)) * _STEP


def _value(scored: Scored) -> float:
    return random_value(scored.texts.rationale_id, seed=scored.seed)


SCORER = Scorer(
    name="random",
    formula="hash of the rationale's id and the run's seed, in [0, 1)",
    unit="none",
    better="lower",
    source="our choice, a control",
    needs="none",
    value=_value,
)
