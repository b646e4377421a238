"""Length: the control that every other scorer has to beat.

Invariant: `scores.num_tokens` as a number; it asks no model anything of its own. Selection has it
always; listed in score.scorers it is in `others` too.

A sample: a rationale of 96 tokens -> 96.0
"""

from __future__ import annotations

from tasks.scorers.scorer import Scorer

SCORER = Scorer(
    name="length",
    formula="number of tokens of r, by the student's tokenizer",
    unit="tokens",
    better="lower",  # the shorter one is cheaper to teach, and to read
    source="our choice, a control",
    needs="q r",
    value=lambda scored: float(len(scored.rationale.logprobs)),
)
