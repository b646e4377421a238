"""What a scorer is: a declaration of what it needs, and a pure function to one number a rationale.

Invariant: a value depends on the texts, the student's token scores, the settings and the run's seed
alone; None where the formula has no value (nothing to score, no surprise at all).

A sample, a plug-in file whole (recipe: plugins = ["brevity.py"], score.scorers = ["brevity"]):

    BREVITY = Scorer(
        name="brevity", formula="1 / number of tokens of r", unit="1 / token", better="higher",
        source="our choice", needs="q r",
        value=lambda scored: 1 / max(1, len(scored.rationale.logprobs)),
    )
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from tasks.ports import Prompt, ScoreRequest, TokenScores

Better = Literal["lower", "higher"]
RdForm = Literal["ratio", "difference"]
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class ScoreSettings(Protocol):
    """Of `[score]`, what the built-in scorers read (tasks.score.ScoreConfig)."""

    @property
    def rd_form(self) -> RdForm: ...
    @property
    def rank_clip(self) -> int: ...
    @property
    def window_steps(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Texts:
    """A rationale up for scoring. `options`: the scorer's own, an instance of its `options`."""

    rationale_id: str
    prompt: Prompt  # the question
    rationale: str  # without its answer statement, where `strip_answer` is on
    answer: str  # the sentence with the gold answer
    settings: ScoreSettings
    options: Any = None


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The same with what the student said, and the run's seed.

    `beside`: token scores of what the scorer itself asked for, one a target, in its order.
    """

    texts: Texts
    rationale: TokenScores  # behind the question
    answer: TokenScores  # behind question and rationale
    answer_alone: TokenScores  # behind the question
    beside: Sequence[TokenScores] = ()
    seed: int = 0


def nothing_beside(texts: Texts) -> Sequence[ScoreRequest]:
    """For scorers that the shared texts are enough for."""
    return ()


def no_passes(settings: ScoreSettings) -> float:
    """For scorers that read the rationale no other time."""
    return 0.0


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """One column, or one entry of `scores.others`. A wrong declaration raises ValueError.

    Shared by all are q r a and q a: the question followed by rationale and answer, and by the
    answer alone. `needs` names the texts in this notation, for people.
    """

    name: str
    formula: str  # one line
    unit: str
    better: Better
    source: str  # paper and section, or "our choice"
    needs: str
    value: Callable[[Scored], float | None]
    beside: Callable[[Texts], Sequence[ScoreRequest]] = nothing_beside
    passes: Callable[[ScoreSettings], float] = no_passes  # over the rationale, beside the shared
    options: type[BaseModel] | None = None  # of `[score.options.<name>]`, a frozen model

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"scorer {self.name!r}: a name is lower case letters, digits and _")
        if self.better not in ("lower", "higher"):
            raise ValueError(f"scorer {self.name!r}: better is 'lower' or 'higher'")

    @property
    def sign(self) -> int:
        """1 or -1: times a value, less is better."""
        return 1 if self.better == "lower" else -1


def mean_nll(scores: TokenScores) -> float:
    """Mean negative log-likelihood of a token, nats; 0 for no token."""
    return -math.fsum(scores.logprobs) / len(scores.logprobs) if scores.logprobs else 0.0


def perplexity(nll: float) -> float:
    """exp(nll), infinite instead of an overflow."""
    return math.exp(nll) if nll < 700 else math.inf
