"""Local naturalness: how likely each step is behind the few before it, without the question.

Invariants: steps joined are the rationale, but for blank lines before the first; a step counts as
much as any other, however long; None for no step.

A sample: "one\\n\\ntwo" -> steps "one\\n\\n" and "two", each behind up to `window_steps` others
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tasks.ports import ScoreRequest, TokenScores
from tasks.scorers.scorer import Scorer, Texts, mean_nll


def local_naturalness(steps: Sequence[TokenScores]) -> float | None:
    """Mean over steps of a step's mean log-probability behind its window; None for no step."""
    return -math.fsum(map(mean_nll, steps)) / len(steps) if steps else None


def split_steps(text: str) -> list[str]:
    """The lines that say something, each with its line break and the blank lines behind it.

    Joined they are the text again, but for blank lines before the first.
    """
    steps: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.strip():
            steps.append(line)
        elif steps:
            steps[-1] += line
    return steps


def _steps_behind_their_window(texts: Texts) -> Sequence[ScoreRequest]:
    steps, window = split_steps(texts.rationale), texts.settings.window_steps
    return [
        ScoreRequest(prompt=None, context=tuple(steps[max(0, i - window) : i]), targets=(step,))
        for i, step in enumerate(steps)
    ]


SCORER = Scorer(
    name="naturalness",
    formula="mean over steps of the step's mean log-probability behind `window_steps` steps and "
    "no question",
    unit="nats a token",
    better="higher",
    source="local naturalness, arXiv 2510.03988; the window is our choice",
    needs="a text a step",
    value=lambda scored: local_naturalness(scored.beside),
    beside=_steps_behind_their_window,
    passes=lambda settings: 1.0 + settings.window_steps,
)
