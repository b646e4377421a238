"""Compression methods: when the loop over a chain ends and which round is kept (MACC and others).

Role: pure decisions over the rounds so far; tasks/compress.py asks the model and writes the rows.
Invariant: whatever a compressor returned, a kept round is whole, states the gold answer and is
shorter than the chain itself; a round that is cut off, or that changed the answer or no longer
states it, is the last one.

A sample: a chain of 20 tokens, rounds of 15, 12 and 14 tokens, all with the right answer.
until_rebound stops there for `rebound` and keeps round 2; fixed_rounds with num_rounds = 3 stops
for `rounds_done` and keeps round 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from tasks.costs import CostBook
from tasks.errors import LitecotError
from tasks.registry import Registry

# Why a loop ended, as stored -> as said of its chains. A method from outside may have its own.
STOP_REASONS: dict[str, str] = {
    "rebound": "ended at a rebound in length",
    "min_reduction": "got hardly shorter",
    "max_rounds": "were still getting shorter at max_rounds",
    "rounds_done": "went through all their rounds",
    "ratio_reached": "were as short as they were to be",
    "answer_changed": "lost the gold answer",
    "answer_not_stated": "no longer stated the answer",
    "truncated": "were cut off",
    "refused": "were refused",
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a round came to: `num_tokens` by the target's tokenizer, verdict against the gold.

    `is_stated` False: its answer is only what the closing line says, where it has to be stated.
    """

    num_tokens: int
    verdict: str
    finish_reason: str
    is_stated: bool = True


class CompressionRule(Protocol):
    """Decides from the chain's length and the outcomes of its rounds, in order, round 1 first."""

    def stop(self, chain_tokens: int, rounds: Sequence[Outcome]) -> str | None:
        """Why the loop ends after the last of `rounds` (at least one); None where it goes on."""
        ...

    def kept(self, chain_tokens: int, rounds: Sequence[Outcome]) -> int | None:
        """Number of the kept round, from 1; None where no round is valid: the chain stands."""
        ...


@dataclass(frozen=True, kw_only=True)
class CompressionMethod:
    """What `compress.method` names.

    `rule` makes the decisions of one chain from the settings: those of the table [compress], or
    `options`, the method's own (`compress.options`), where it declares them.
    """

    name: str
    rule: Callable[[Any], CompressionRule]
    rounds: Callable[[CostBook, Any], float]  # expected of a chain, for cost estimates
    source: str = "our choice"  # paper and section
    options: type[BaseModel] | None = None
    most_rounds: int = 64  # of a method from outside: then the loop ends, whatever the rule says
    asks_for_length: bool = False  # its prompt must name a number of tokens


@dataclass(frozen=True, kw_only=True)
class UntilRebound:
    """MACC (METHODS 2.2): on until the length first rebounds; the shortest round before it.

    Two guards of ours: a round that shortens by less than the share `min_reduction`, or by less
    than a token, ends the loop and is still used; `max_rounds` bounds it.
    """

    max_rounds: int
    min_reduction: float

    def stop(self, chain_tokens: int, rounds: Sequence[Outcome]) -> str | None:
        """A spoilt round first, then the lengths, then the bound."""
        after = rounds[-1].num_tokens
        before = rounds[-2].num_tokens if len(rounds) > 1 else chain_tokens
        if reason := _spoilt(rounds[-1]):
            return reason
        if after > before:
            return "rebound"
        if before - after < max(1.0, self.min_reduction * before):
            return "min_reduction"
        return "max_rounds" if len(rounds) >= self.max_rounds else None

    def kept(self, chain_tokens: int, rounds: Sequence[Outcome]) -> int | None:
        """The shortest valid round, the earlier of two as short."""
        valid = _valid(chain_tokens, rounds)
        return min(valid, key=lambda number: (rounds[number - 1].num_tokens, number), default=None)


@dataclass(frozen=True, kw_only=True)
class FixedRounds:
    """The same depth for every chain, whatever its lengths: the last valid of `num_rounds`."""

    num_rounds: int

    def stop(self, chain_tokens: int, rounds: Sequence[Outcome]) -> str | None:
        """Only a spoilt round ends it early: there is nothing right to go on from."""
        if reason := _spoilt(rounds[-1]):
            return reason
        return "rounds_done" if len(rounds) >= self.num_rounds else None

    def kept(self, chain_tokens: int, rounds: Sequence[Outcome]) -> int | None:
        """The last valid round, even behind a shorter one."""
        return max(_valid(chain_tokens, rounds), default=None)


@dataclass(frozen=True, kw_only=True)
class UntilRatio:
    """The same share of its tokens for every chain, whatever it can bear: the first round as short
    as that, of at most `max_rounds`; where none is, the last valid one."""

    ratio: float
    max_rounds: int

    def stop(self, chain_tokens: int, rounds: Sequence[Outcome]) -> str | None:
        """A spoilt round first, then the length, then the bound."""
        if reason := _spoilt(rounds[-1]):
            return reason
        if rounds[-1].num_tokens <= self.ratio * chain_tokens:
            return "ratio_reached"
        return "max_rounds" if len(rounds) >= self.max_rounds else None

    def kept(self, chain_tokens: int, rounds: Sequence[Outcome]) -> int | None:
        """The last valid round."""
        return max(_valid(chain_tokens, rounds), default=None)


class MethodError(LitecotError):
    """A method from outside broke the contract of CompressionRule."""


@dataclass(frozen=True, kw_only=True)
class GuardedRule:
    """The rule of a method from outside, held to this module's invariant, and to an end."""

    method: CompressionMethod
    rule: CompressionRule

    def stop(self, chain_tokens: int, rounds: Sequence[Outcome]) -> str | None:
        """A spoilt round first; raises MethodError for what is no reason."""
        if reason := _spoilt(rounds[-1]):
            return reason
        said: object = self.rule.stop(chain_tokens, rounds)
        if said is not None and not (isinstance(said, str) and said):
            raise MethodError(
                f"compression method {self.method.name!r}: stop() returned {said!r}: a reason, or "
                "None to go on"
            )
        if said is None and len(rounds) >= self.method.most_rounds:
            return "max_rounds"
        return said

    def kept(self, chain_tokens: int, rounds: Sequence[Outcome]) -> int | None:
        """Raises MethodError for a round that may not be kept."""
        number: object = self.rule.kept(chain_tokens, rounds)
        valid = _valid(chain_tokens, rounds)
        if number is None or (type(number) is int and number in valid):
            return number
        raise MethodError(
            f"compression method {self.method.name!r}: kept() returned {number!r}: a round that is "
            "whole, right, with its answer stated, and shorter than the chain (here "
            f"{valid or 'none'}), or None"
        )


def _spoilt(
    outcome: Outcome,
) -> Literal["truncated", "answer_changed", "answer_not_stated"] | None:
    """Why a round cannot be used at all; an answer not known to be right counts as changed."""
    if outcome.finish_reason != "stop":  # by the length, or by an endpoint's content filter
        return "truncated"
    if outcome.verdict != "correct":
        return "answer_changed"
    return None if outcome.is_stated else "answer_not_stated"


def _valid(chain_tokens: int, rounds: Sequence[Outcome]) -> list[int]:
    """Numbers of the rounds that may be kept: usable, and shorter than the chain itself."""
    return [
        number
        for number, outcome in enumerate(rounds, start=1)
        if not _spoilt(outcome) and outcome.num_tokens < chain_tokens
    ]


UNTIL_REBOUND = CompressionMethod(
    name="until_rebound",
    source="MACC (METHODS 2.2)",
    rule=lambda settings: UntilRebound(
        max_rounds=settings.max_rounds, min_reduction=settings.min_reduction
    ),
    rounds=lambda book, settings: min(book.assume("rounds"), settings.max_rounds),
)
FIXED_ROUNDS = CompressionMethod(
    name="fixed_rounds",
    rule=lambda settings: FixedRounds(num_rounds=settings.num_rounds),
    rounds=lambda book, settings: settings.num_rounds,
)
ONE_ROUND = CompressionMethod(
    name="one_round",
    rule=lambda settings: FixedRounds(num_rounds=1),
    rounds=lambda book, settings: 1,
)
UNTIL_RATIO = CompressionMethod(
    name="until_ratio",
    rule=lambda settings: UntilRatio(ratio=settings.until_ratio, max_rounds=settings.max_rounds),
    rounds=lambda book, settings: min(book.assume("rounds"), settings.max_rounds),
)
FIXED_RATIO = CompressionMethod(
    name="fixed_ratio",
    source="TokenSkip's ratios",
    rule=lambda settings: FixedRounds(num_rounds=1),
    rounds=lambda book, settings: 1,
    asks_for_length=True,
)
METHODS = Registry(
    "compression method",
    CompressionMethod,
    folder="tasks.compress_methods",
    group="litecot.compression_methods",
)
