"""What a stage says of its cost before it runs: how many records it will have, what one asks.

Role: a stage declares an Expectation; flows/costs adds them up and knows the figures. Invariant:
a figure that the corpus or the input files know goes before an assumed one (CostBook decides).

A sample: Expectation(records=lambda book, config: book.num_problems, usage=one_request)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class ExpectedUsage:
    """Requests and tokens, of one record or of many."""

    requests: float = 0
    prompt_tokens: float = 0
    completion_tokens: float = 0

    def times(self, factor: float) -> ExpectedUsage:
        """Of so many records."""
        return ExpectedUsage(
            requests=self.requests * factor,
            prompt_tokens=self.prompt_tokens * factor,
            completion_tokens=self.completion_tokens * factor,
        )


class CostBook(Protocol):
    """The figures of one recipe. Lengths in tokens, of the model that reads or writes them."""

    @property
    def num_problems(self) -> int:
        """To learn from."""
        ...

    @property
    def num_held_out(self) -> float:
        """To evaluate on, before any limit."""
        ...

    @property
    def num_solved(self) -> float:
        """Problems with a correct long chain."""
        ...

    @property
    def question(self) -> float:
        """Length of a question."""
        ...

    @property
    def num_candidates(self) -> float:
        """Long chains a problem."""
        ...

    @property
    def share_correct(self) -> float:
        """Of long chains."""
        ...

    @property
    def share_accepted(self) -> float:
        """Of rewrites."""
        ...

    @property
    def compressor_thinks(self) -> bool:
        """Whether the teacher compresses, which may be a reasoning model."""
        ...

    def assume(self, name: str) -> float:
        """The figure `name` of the recipe's table [estimate], from now on among those named."""
        ...

    def template(self, step: str, variant: str) -> float:
        """Length of a prompt without what it is filled with."""
        ...

    def imported_length(self) -> float | None:
        """Of the rationales in the input files, None where there are none."""
        ...

    def length(self, kind: str) -> float:
        """Of a chain of this kind."""
        ...

    def mean_length(self, kinds: Sequence[str]) -> float:
        """Over all correct chains of these kinds."""
        ...

    def chains(self, kind: str) -> float:
        """Correct chains of this kind, of compressed ones the kept rounds; 0 where none is made."""
        ...

    def examples(self) -> float:
        """Training examples."""
        ...

    def training_data(self) -> tuple[float, float]:
        """Training examples, and tokens of one, prompt and completion."""
        ...

    def reply(self, words: float, most: int) -> float:
        """A reply of `words` tokens behind what the teacher thinks first, cut at `most`."""
        ...


Figure = Callable[[CostBook, Any], float]


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Of one stage, by its settings. `usage` is of one record.

    `chains`: correct chains it makes, `length` that of one, for stages that make a kind.
    """

    records: Figure
    usage: Callable[[CostBook, Any], ExpectedUsage]
    chains: Figure | None = None
    length: Figure | None = None
