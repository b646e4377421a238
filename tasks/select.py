"""MoRSD selection: accuracy, then diversity, then difficulty, in this order (METHODS 3.3).

Invariant: every rationale considered leaves with exactly one Selection row, kept or dropped by one
named filter; of two near-duplicates the one with the lower RD survives.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field

from tasks.costs import Expectation, ExpectedUsage
from tasks.ports import Ports
from tasks.schemas import Selection
from tasks.stage import Record, Stage, StageConfig

Kind = Literal["long", "rewritten"]


class SelectConfig(StageConfig):
    """Filters. Diversity: n-gram Jaccard, n 3, threshold 0.8 (METHODS 3.3, our reading)."""

    original_kinds: tuple[Kind, ...] = ("long",)
    with_compressed: bool = False
    ngram: int = Field(default=3, ge=1, description="words an n-gram")
    max_similarity: float = Field(default=0.8, gt=0, le=1)
    max_rd: float = Field(default=1.0, description="below 1 the rationale helps this student")
    keep_per_problem: int | None = Field(default=1, ge=1)
    keep_fraction: float | None = Field(default=None, gt=0, le=1)


@dataclass(frozen=True, kw_only=True)
class Considered:
    """One rationale up for selection. `rd` None: it was not scored (its answer is wrong)."""

    rationale_id: str
    condition: str  # original | compressed
    verdict: str
    rd: float | None
    text: str  # empty where it is compared with no other


@dataclass(frozen=True, kw_only=True)
class SelectRecord(Record):
    candidates: tuple[Considered, ...]
    rd_cutoff: float | None  # RD below which keep_fraction of the run's correct rationales lie

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Build from a query row, whose candidates are a list of structs."""
        return cls(**{**row, "candidates": tuple(Considered(**c) for c in row["candidates"])})


_WORD = re.compile(r"\w+|[^\w\s]")
Ngram = tuple[str, ...]


def words_of(text: str) -> list[str]:
    """Words and marks, case folded, in order; of an empty text one empty word."""
    return _WORD.findall(text.casefold()) or [""]


def ngrams(words: Sequence[str], size: int) -> Iterable[Ngram]:
    """The runs of `size` words; fewer words are one n-gram."""
    if len(words) < size:
        return [tuple(words)]
    return zip(*(words[start:] for start in range(size)), strict=False)


class Multiset:
    """What a text consists of, in the form that makes `overlap` mostly one set operation."""

    def __init__(self, elements: Iterable[Any]) -> None:
        counts = Counter(elements)
        self._elements = frozenset(counts)
        self._again = {element: number - 1 for element, number in counts.items() if number > 1}
        self._get_again = self._again.__getitem__

    def __len__(self) -> int:
        return len(self._elements) + sum(self._again.values())

    def overlap(self, other: Multiset) -> int:
        """How many elements both have, repeated ones as often as both repeat them."""
        again = self._again.keys() & other._again.keys()
        repeated = sum(map(min, map(self._get_again, again), map(other._get_again, again)))
        return len(self._elements & other._elements) + repeated


def jaccard(left: Multiset, right: Multiset) -> float:
    """Jaccard similarity of two multisets that are not empty, 0..1."""
    return _similarity(left.overlap(right), len(left), len(right))


def _similarity(shared: int, num_left: int, num_right: int) -> float:
    """Grows with `shared`, so what an upper bound of it gives bounds the similarity too."""
    return shared / (num_left + num_right - shared)


class _Prepared:
    """A text as `near_duplicates` compares it: its n-grams are made when they are needed."""

    def __init__(self, candidate: Considered, size: int) -> None:
        self.rationale_id = candidate.rationale_id
        self._words, self._size = words_of(candidate.text), size
        self.num_ngrams = max(1, len(self._words) - size + 1)

    @cached_property
    def first_words(self) -> Multiset:
        """Of its n-grams: two texts share no more n-grams than first words of n-grams."""
        return Multiset(self._words[: self.num_ngrams])

    @cached_property
    def ngrams(self) -> Multiset:
        return Multiset(ngrams(self._words, self._size))

    def is_near(self, other: _Prepared, least: float) -> bool:
        """Whether the Jaccard similarity is at least `least`; cheap bounds come first."""
        sizes = self.num_ngrams, other.num_ngrams
        if _similarity(min(sizes), *sizes) < least:
            return False
        if _similarity(self.first_words.overlap(other.first_words), *sizes) < least:
            return False
        return _similarity(self.ngrams.overlap(other.ngrams), *sizes) >= least


def by_rd(candidates: Iterable[Considered]) -> list[Considered]:
    """Lowest RD first, NaN last; equal RD by id, so the order never depends on arrival."""
    return sorted(candidates, key=lambda c: (math.isnan(_rd(c)), _order(_rd(c)), c.rationale_id))


def _order(rd: float) -> float:
    return 0.0 if math.isnan(rd) else rd


def _rd(candidate: Considered) -> float:
    return float("inf") if candidate.rd is None else candidate.rd


def near_duplicates(ordered: Sequence[Considered], config: SelectConfig) -> dict[str, str]:
    """rationale_id -> id of the best one it nearly repeats. `ordered` is best first.

    Exact: a pair's similarity is left out only where a bound shows that it is below the threshold.
    """
    kept: list[_Prepared] = []
    duplicates: dict[str, str] = {}
    for candidate in ordered if len(ordered) > 1 else ():
        text = _Prepared(candidate, config.ngram)
        twin = next(
            (better for better in kept if text.is_near(better, config.max_similarity)), None
        )
        if twin is None:
            kept.append(text)
        else:
            duplicates[text.rationale_id] = twin.rationale_id
    return duplicates


def select_condition(
    candidates: Sequence[Considered], *, problem_id: str, cutoff: float | None, config: SelectConfig
) -> list[Selection]:
    """The three filters over the rationales of one problem considered for one use."""
    accurate = {c.rationale_id for c in candidates if c.verdict == "correct" and c.rd is not None}
    dropped = [c for c in candidates if c.rationale_id not in accurate]
    correct = by_rd(c for c in candidates if c.rationale_id in accurate)
    duplicates = near_duplicates(correct, config)
    rank = 0
    rows = [_dropped_by_accuracy(c, problem_id) for c in dropped]
    for candidate in correct:
        if twin := duplicates.get(candidate.rationale_id):
            rows.append(
                _row(candidate, problem_id, filter_name="diversity", reason="near_duplicate",
                     duplicate_of=twin)
            )  # fmt: skip
            continue
        rank += 1
        reason = _difficulty_fault(_rd(candidate), rank=rank, cutoff=cutoff, config=config)
        name = "difficulty" if reason else "kept"
        rows.append(
            _row(candidate, problem_id, filter_name=name, reason=reason or "kept", rank=rank)
        )
    return rows


def _difficulty_fault(
    rd: float, *, rank: int, cutoff: float | None, config: SelectConfig
) -> str | None:
    if not rd <= config.max_rd:  # also NaN
        return "rd_above_threshold"
    if config.keep_per_problem is not None and rank > config.keep_per_problem:
        return "beyond_keep_per_problem"
    if cutoff is not None and rd > cutoff:
        return "outside_keep_fraction"
    return None


def _dropped_by_accuracy(candidate: Considered, problem_id: str) -> Selection:
    reasons = {"wrong": "wrong_answer", "correct": "not_scored"}
    reason = reasons.get(candidate.verdict, candidate.verdict)
    return _row(candidate, problem_id, filter_name="accuracy", reason=reason)


def _row(
    candidate: Considered, problem_id: str, *, filter_name: str, reason: str,
    rank: int | None = None, duplicate_of: str | None = None,
) -> Selection:  # fmt: skip
    return Selection(
        rationale_id=candidate.rationale_id,
        problem_id=problem_id,
        condition=candidate.condition,
        kept=filter_name == "kept",
        filter=filter_name,
        reason=reason,
        rank=rank,
        rd=candidate.rd,
        duplicate_of=duplicate_of,
    )


async def select(record: SelectRecord, ports: Ports, config: SelectConfig) -> Sequence[Selection]:
    """One Selection row a (rationale, condition)."""
    rows: list[Selection] = []
    for condition in ("original", "compressed"):
        group = [c for c in record.candidates if c.condition == condition]
        rows += select_condition(
            group, problem_id=record.problem_id, cutoff=record.rd_cutoff, config=config
        )
    return rows


STAGE = Stage(
    name="select",
    reads="select",
    writes=Selection,
    record=SelectRecord,
    config=SelectConfig,
    step=select,
    upstream=("generate", "verify", "rewrite", "compress", "score"),
    is_global=True,
    expects=Expectation(
        records=lambda book, config: book.num_problems,
        usage=lambda book, config: ExpectedUsage(),
    ),
)
