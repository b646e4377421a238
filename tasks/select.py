"""MoRSD selection: accuracy, then diversity, then difficulty, in this order (METHODS 3.3).

Invariant: every rationale considered leaves with exactly one Selection row, kept or dropped by one
named filter; of two near-duplicates the one with the lower RD survives.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from pydantic import Field

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
    text: str
    rd: float | None


@dataclass(frozen=True, kw_only=True)
class SelectRecord(Record):
    candidates: tuple[Considered, ...]
    rd_cutoff: float | None  # RD below which keep_fraction of the run's correct rationales lie

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Build from a query row, whose candidates are a list of structs."""
        return cls(**{**row, "candidates": tuple(Considered(**c) for c in row["candidates"])})


_WORD = re.compile(r"\w+|[^\w\s]")


def ngrams(text: str, size: int) -> Counter[tuple[str, ...]]:
    """Multiset of `size`-word n-grams, case folded; a shorter text is one n-gram."""
    words = _WORD.findall(text.casefold())
    last = max(1, len(words) - size + 1)
    return Counter(tuple(words[i : i + size]) for i in range(last))


def jaccard(left: Counter[tuple[str, ...]], right: Counter[tuple[str, ...]]) -> float:
    """Multiset Jaccard similarity, 0..1."""
    union = (left | right).total()
    return (left & right).total() / union if union else 1.0


def by_rd(candidates: Iterable[Considered]) -> list[Considered]:
    """Lowest RD first, NaN last; equal RD by id, so the order never depends on arrival."""
    return sorted(candidates, key=lambda c: (math.isnan(_rd(c)), _order(_rd(c)), c.rationale_id))


def _order(rd: float) -> float:
    return 0.0 if math.isnan(rd) else rd


def _rd(candidate: Considered) -> float:
    return float("inf") if candidate.rd is None else candidate.rd


def near_duplicates(ordered: Sequence[Considered], config: SelectConfig) -> dict[str, str]:
    """rationale_id -> id of the better one it nearly repeats. `ordered` is best first."""
    kept: list[tuple[str, Counter[tuple[str, ...]]]] = []
    duplicates: dict[str, str] = {}
    for candidate in ordered:
        grams = ngrams(candidate.text, config.ngram)
        twin = next((i for i, g in kept if jaccard(grams, g) >= config.max_similarity), None)
        if twin is None:
            kept.append((candidate.rationale_id, grams))
        else:
            duplicates[candidate.rationale_id] = twin
    return duplicates


def select_condition(
    candidates: Sequence[Considered], *, problem_id: str, cutoff: float | None, config: SelectConfig
) -> list[Selection]:
    """The three filters over the rationales of one problem considered for one use."""
    correct = by_rd(c for c in candidates if c.verdict == "correct" and c.rd is not None)
    duplicates = near_duplicates(correct, config)
    rank = 0
    rows = [_dropped_by_accuracy(c, problem_id) for c in candidates if c not in correct]
    for candidate in correct:
        row = _row(candidate, problem_id, filter_name="diversity", reason="near_duplicate")
        if candidate.rationale_id not in duplicates:
            rank += 1
            reason = _difficulty_fault(_rd(candidate), rank=rank, cutoff=cutoff, config=config)
            name = "difficulty" if reason else "kept"
            row = _row(candidate, problem_id, filter_name=name, reason=reason or "kept")
            row = replace(row, rank=rank, kept=reason is None)
        rows.append(row)
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


def _row(candidate: Considered, problem_id: str, *, filter_name: str, reason: str) -> Selection:
    return Selection(
        rationale_id=candidate.rationale_id,
        problem_id=problem_id,
        condition=candidate.condition,
        kept=False,
        filter=filter_name,
        reason=reason,
        rd=candidate.rd,
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
)
