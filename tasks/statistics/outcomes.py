"""One model's answers to a set of questions: an entry a question, its samples summed up.

Invariant: all columns are as long as `questions`, no question is there twice, each has a sample
or more. Answers of different sampling or prompts are never in one of these.

A sample: Outcomes(questions=("p1", "p2"), families=("f", "f"), num_correct=[3, 0],
num_samples=[4, 4], mean_tokens=[61.5, 80.0], num_cut_off=[0, 1], mean_seconds=[0.4, 0.6])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcomes:
    """Made by `Outcomes.of`. Shapes: (number of questions,) each."""

    questions: tuple[str, ...]  # problem ids
    families: tuple[str, ...]  # questions of one name are one cluster
    num_correct: Counts  # of the samples
    num_samples: Counts
    mean_tokens: Floats  # of an answer
    num_cut_off: Counts  # samples that reached the limit of tokens
    mean_seconds: Floats  # waited for an answer

    @classmethod
    def of(
        cls,
        questions: Sequence[str],
        *,
        families: Sequence[str | None] | None = None,
        num_correct: ArrayLike,
        num_samples: ArrayLike,
        mean_tokens: ArrayLike,
        num_cut_off: ArrayLike,
        mean_seconds: ArrayLike,
    ) -> Self:
        """A question without a family is one of its own. Raises ValueError: no such columns."""
        named = families if families is not None else [None] * len(questions)
        made = cls(
            questions=tuple(questions),
            families=tuple(q if f is None else f for q, f in zip(questions, named, strict=True)),
            num_correct=np.asarray(num_correct, dtype=np.int64),
            num_samples=np.asarray(num_samples, dtype=np.int64),
            mean_tokens=np.asarray(mean_tokens, dtype=np.float64),
            num_cut_off=np.asarray(num_cut_off, dtype=np.int64),
            mean_seconds=np.asarray(mean_seconds, dtype=np.float64),
        )
        made._check()
        return made

    def __len__(self) -> int:
        return len(self.questions)

    @property
    def accuracy(self) -> Floats:
        """Share of a question's samples that are correct."""
        return self.num_correct / self.num_samples

    @property
    def cut_off(self) -> Floats:
        """Share of a question's samples that reached the limit of tokens."""
        return self.num_cut_off / self.num_samples

    @property
    def clusters(self) -> Counts:
        """The families, numbered from 0."""
        numbers = np.unique(np.asarray(self.families, dtype=object), return_inverse=True)[1]
        return numbers.astype(np.int64)

    def on(self, questions: Sequence[str]) -> Self:
        """These questions, in this order. Raises KeyError: one that is not there."""
        at = {question: i for i, question in enumerate(self.questions)}
        rows = [at[question] for question in questions]
        return type(self)(
            questions=tuple(questions),
            families=tuple(self.families[i] for i in rows),
            num_correct=self.num_correct[rows],
            num_samples=self.num_samples[rows],
            mean_tokens=self.mean_tokens[rows],
            num_cut_off=self.num_cut_off[rows],
            mean_seconds=self.mean_seconds[rows],
        )

    def _check(self) -> None:
        columns = (
            self.num_correct, self.num_samples, self.mean_tokens, self.num_cut_off,
            self.mean_seconds,
        )  # fmt: skip
        if any(column.shape != (len(self.questions),) for column in columns):
            raise ValueError(f"each column needs {len(self.questions)} entries, one a question")
        if len(set(self.questions)) != len(self.questions):
            raise ValueError("a question is there twice")
        counts = (self.num_correct, self.num_cut_off)
        if any((some < 0).any() or (some > self.num_samples).any() for some in counts):
            raise ValueError("counts are of the samples: 0 to num_samples")
        if (self.num_samples < 1).any():
            raise ValueError("a question needs a sample")


def in_common(first: Outcomes, second: Outcomes) -> tuple[Outcomes, Outcomes]:
    """Both on the questions that both have, in the order of the first."""
    both = set(second.questions)
    shared = [question for question in first.questions if question in both]
    return first.on(shared), second.on(shared)
