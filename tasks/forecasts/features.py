"""Training sets and students, and the columns of the regression made from them.

Invariant: a feature is known before training starts; one that is not known is None, never a guess.
Lengths, counts and perplexities enter as logarithms: what doubles them counts the same anywhere.

A sample: FEATURES[2].value(training_set, compress=True) == 0.37  # compression_rate
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """What is known of a training set before anything is trained; None where it is not."""

    num_examples: int
    share_compressed: float
    tokens: float  # of an example, mean
    tokens_original: float | None
    tokens_compressed: float | None
    compression_rate: float
    mean_rounds: float
    share_easy: float | None
    share_medium: float | None
    share_hard: float | None
    share_kept: float | None
    ppl_examples: float | None
    ppl_rationales: float | None
    epochs: float | None
    num_steps: float | None  # as planned
    train_tokens: float | None  # of completions, all epochs, as planned

    def tokens_asked(self, compress: bool) -> float:
        """Mean tokens of the examples with this prompt; of all where none has it."""
        asked = self.tokens_compressed if compress else self.tokens_original
        return self.tokens if asked is None else asked


@dataclass(frozen=True, kw_only=True)
class Group:
    """How students were evaluated: what is forecast together."""

    base: str
    benchmark: str
    settings: str | None
    compress: bool


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one student came to."""

    model_id: str
    recipe: str
    group: Group
    accuracy: float
    tokens: float
    num_questions: int
    training: TrainingSet


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A student that may be trained. `model_id`: the id it will have."""

    recipe: str
    model_id: str
    base: str
    data_fingerprint: str
    training: TrainingSet


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of the regression, by training set and prompt."""

    name: str
    value: Callable[[TrainingSet, bool], float | None]
    instead: str = ""  # the name of one that goes before it where both are known


def _log(value: float | None) -> float | None:
    return math.log(value) if value is not None and value > 0 and math.isfinite(value) else None


FEATURES = (
    Feature(name="log_ppl_examples", value=lambda t, _: _log(t.ppl_examples)),
    Feature(
        name="log_ppl_rationales", value=lambda t, _: _log(t.ppl_rationales),
        instead="log_ppl_examples",
    ),
    Feature(name="compression_rate", value=lambda t, _: t.compression_rate),
    Feature(name="mean_rounds", value=lambda t, _: t.mean_rounds),
    Feature(name="log_tokens_asked", value=lambda t, compress: _log(t.tokens_asked(compress))),
    Feature(name="share_compressed", value=lambda t, _: t.share_compressed),
    Feature(name="share_easy", value=lambda t, _: t.share_easy),
    Feature(name="share_hard", value=lambda t, _: t.share_hard),
    Feature(name="share_kept", value=lambda t, _: t.share_kept),
    Feature(name="log_num_examples", value=lambda t, _: _log(t.num_examples)),
    Feature(name="log_num_steps", value=lambda t, _: _log(t.num_steps)),
    Feature(name="log_train_tokens", value=lambda t, _: _log(t.train_tokens)),
)  # fmt: skip
