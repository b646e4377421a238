"""MoRSD selection: accuracy, then diversity, then difficulty, in this order (METHODS 3.3).

Between the first two a filter of ours: a chain that was cut off is dropped, whatever it states.

Invariant: every rationale considered leaves with exactly one Selection row, kept or dropped by one
named filter; of two near-duplicates the one that is better by the measure survives.

The measure is Rationale Difficulty, another scorer, or a weighted mean of ranks (`select.by`).
A sample: SelectConfig(by={"rd": 0.5, "rsr": 0.5}).measure == "0.5 rd + 0.5 rsr"
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks.costs import Expectation, ExpectedUsage
from tasks.diversity import near_duplicates
from tasks.ports import Ports
from tasks.schemas import Selection
from tasks.scorers import SCORERS
from tasks.stage import Record, Stage, StageConfig

Filter = Literal["accuracy", "diversity", "difficulty"]
LEAST_WEIGHT_RATIO = 1e-9  # of the smallest weight to the largest: below, it decides nothing


class SelectConfig(StageConfig):
    """Filters. Diversity: n-gram Jaccard, n 3, threshold 0.8 (METHODS 3.3, our reading)."""

    filters: tuple[Filter, ...] = Field(
        default=("accuracy", "diversity", "difficulty"),
        description="those applied; leave one out as a control (what was cut off never stays)",
    )
    original_kinds: tuple[str, ...] = Field(
        default=("long",), description="uncompressed kinds that may be kept"
    )
    with_compressed: bool = Field(default=False, description="keep compressed chains beside them")
    ngram: int = Field(default=3, ge=1, description="words an n-gram")
    max_similarity: float = Field(
        default=0.8, gt=0, le=1, description="n-gram overlap from which two chains are one"
    )
    require_stated_answer: bool = Field(
        default=False, description="drop a chain whose answer only its closing line gives away"
    )
    max_rd: float = Field(
        default=1.0, description="below 1 the rationale helps this student; only where by is rd"
    )
    keep_per_problem: int | None = Field(
        default=1, ge=1, description="the best so many of a problem; none: all"
    )
    keep_fraction: float | None = Field(
        default=None, gt=0, le=1, description="the best share of all; none: all"
    )
    by: str | dict[str, float] = Field(
        default="rd", description="a scorer, or scorer -> weight: a weighted mean of ranks"
    )
    worst_first: bool = Field(
        default=False, description="the worst by the measure are kept, as a control; no max_rd"
    )
    threshold: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="worst value of `by` kept, where it is not rd; of weighted ranks 0..1",
    )

    @field_validator("original_kinds")
    @classmethod
    def _original(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        if "compressed" in kinds:
            raise ValueError("'compressed' is no original: set select.with_compressed = true")
        return kinds

    @field_validator("by", mode="before")
    @classmethod
    def _known(cls, by: Any) -> Any:
        weights = {by: 1.0} if isinstance(by, str) else by
        if not isinstance(weights, dict) or not weights:
            raise ValueError("a scorer's name, or weights such as {rd = 0.5, rsr = 0.5}")
        for name, weight in weights.items():
            SCORERS.entry(name)  # raises an error that names those there are
            if isinstance(weight, bool) or not isinstance(weight, int | float):
                raise ValueError(f"the weight of {name!r} is no number: {weight!r}")
            if not 0 < weight <= sys.float_info.max:  # an integer may be larger, too
                raise ValueError(f"the weight of {name!r} must be above 0 and finite")
        least, most = min(weights, key=weights.__getitem__), max(weights.values())
        if weights[least] / most < LEAST_WEIGHT_RATIO:
            raise ValueError(
                f"the weight of {least!r} is below {LEAST_WEIGHT_RATIO:g} of the largest and would "
                "decide nothing: leave it out, or make it larger"
            )
        return by

    @model_validator(mode="after")
    def _check_threshold(self) -> Self:
        if self.threshold is None:
            return self
        if self.by == "rd":
            raise ValueError("threshold: where select.by is rd it is select.max_rd, set that")
        if self.worst_first:
            raise ValueError("threshold: it says how bad is too bad, and worst_first keeps those")
        if self.by_ranks and not 0 <= self.threshold <= 1:
            raise ValueError("threshold: weighted ranks are 0 (the best of the run) to 1")
        return self

    def read_kinds(self) -> tuple[str, ...]:
        """Compressed ones are chosen from apart (`with_compressed`)."""
        return self.original_kinds

    @property
    def is_by_rd(self) -> bool:
        """Whether RD's own column and threshold decide, as in the paper."""
        return self.by == "rd" and not self.worst_first

    @property
    def by_ranks(self) -> bool:
        """Whether the measure is a weighted mean of ranks."""
        return not isinstance(self.by, str)

    @property
    def weights(self) -> dict[str, float]:
        """Scorer -> weight, by name: what they are and not in which order decides the rows."""
        return {self.by: 1.0} if isinstance(self.by, str) else dict(sorted(self.by.items()))

    @property
    def measure(self) -> str:
        """In words, as a row tells it: "ifd", "0.5 rd + 0.5 rsr", "worst by rd"."""
        named = self.by if isinstance(self.by, str) else ""
        weighted = " + ".join(f"{weight:g} {name}" for name, weight in self.weights.items())
        return ("worst by " if self.worst_first else "") + (named or weighted)

    @property
    def sign(self) -> int:
        """1 or -1: times the measure, less is better. Ranks are lower for the better."""
        return self._turned(SCORERS[self.by].sign) if isinstance(self.by, str) else 1

    def _turned(self, sign: int) -> int:
        return -sign if self.worst_first else sign

    @property
    def shares(self) -> dict[str, float]:
        """The weights as parts of 1; through the largest, for a sum of them may be infinite."""
        largest = max(self.weights.values())
        parts = {name: weight / largest for name, weight in self.weights.items()}
        return {name: part / sum(parts.values()) for name, part in parts.items()}

    def for_query(self) -> str:
        """With what the query cannot know: which scorers, and in which direction."""
        measures = [
            {"scorer": name, "weight": share, "sign": self._turned(SCORERS[name].sign)}
            for name, share in self.shares.items()
        ]
        return json.dumps(
            {
                **json.loads(self.model_dump_json()),
                "by_rd": self.is_by_rd,
                "by_ranks": self.by_ranks,
                "measures": [] if self.is_by_rd else measures,
            }
        )


@dataclass(frozen=True, kw_only=True)
class Considered:
    """One rationale up for selection. `rd` None: it was not scored (its answer is wrong).

    `value`: of the measure, where that is not RD; None where it has none.
    """

    rationale_id: str
    condition: str  # original | compressed
    verdict: str
    rd: float | None
    text: str  # empty where it is compared with no other
    value: float | None = None
    stated_as: str | None = None
    incomplete: str | None = None  # why it is no whole chain (stg_rationales)


@dataclass(frozen=True, kw_only=True)
class SelectRecord(Record):
    candidates: tuple[Considered, ...]
    cutoff: float | None  # cost up to which keep_fraction of the run's correct rationales lie

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Build from a query row, whose candidates are a list of structs."""
        return cls(**{**row, "candidates": tuple(Considered(**c) for c in row["candidates"])})


def best_first(candidates: Iterable[Considered], config: SelectConfig) -> list[Considered]:
    """By cost, those without one last; equals by id, so the order never depends on arrival."""
    return sorted(candidates, key=lambda c: (*_last(cost_of(c, config)), c.rationale_id))


def cost_of(candidate: Considered, config: SelectConfig) -> float:
    """The measure so that less is better. NaN: no value; of RD infinity is a value, the worst."""
    if config.is_by_rd:
        return math.inf if candidate.rd is None else candidate.rd
    value = candidate.value
    return math.nan if value is None or not math.isfinite(value) else config.sign * value


def _last(cost: float) -> tuple[bool, float]:
    """A key that sorts NaN behind everything."""
    return (True, 0.0) if math.isnan(cost) else (False, cost)


def select_condition(
    candidates: Sequence[Considered], *, problem_id: str, cutoff: float | None, config: SelectConfig
) -> list[Selection]:
    """The filters over the rationales of one problem considered for one use."""
    unfit = {c.rationale_id: decision for c in candidates if (decision := _unfit(c, config))}
    decided = [(c, unfit[c.rationale_id]) for c in candidates if c.rationale_id in unfit]
    correct = best_first((c for c in candidates if c.rationale_id not in unfit), config)
    duplicates = (
        near_duplicates(correct, size=config.ngram, least=config.max_similarity)
        if "diversity" in config.filters
        else {}
    )
    rank = 0
    for candidate in correct:
        if twin := duplicates.get(candidate.rationale_id):
            decision = _Decision("diversity", "near_duplicate", duplicate_of=twin)
        else:
            rank += 1
            cost = cost_of(candidate, config)
            fault = _difficulty_fault(cost, rank=rank, cutoff=cutoff, config=config)
            decision = _Decision("difficulty" if fault else "kept", fault or "kept", rank=rank)
        decided.append((candidate, decision))
    return [_row(c, decision, problem_id, config) for c, decision in decided]


@dataclass(frozen=True)
class _Decision:
    filter: str
    reason: str
    rank: int | None = None
    duplicate_of: str | None = None


def _unfit(candidate: Considered, config: SelectConfig) -> _Decision | None:
    """What rules a chain out on its own: accuracy, then completeness; None where nothing does."""
    is_for_accuracy = "accuracy" in config.filters
    if is_for_accuracy and candidate.verdict != "correct":
        wrong = "wrong_answer" if candidate.verdict == "wrong" else candidate.verdict
        return _Decision("accuracy", wrong)
    if candidate.incomplete:
        return _Decision("completeness", candidate.incomplete)
    if is_for_accuracy and config.require_stated_answer and candidate.stated_as == "closing_line":
        return _Decision("accuracy", "answer_not_stated")
    is_unscored = "difficulty" in config.filters and candidate.rd is None
    return _Decision("accuracy", "not_scored") if is_unscored else None


def _difficulty_fault(
    cost: float, *, rank: int, cutoff: float | None, config: SelectConfig
) -> str | None:
    if "difficulty" not in config.filters:
        return None
    if config.is_by_rd and not cost <= config.max_rd:  # also NaN
        return "rd_above_threshold"
    if config.threshold is not None and not cost <= config.sign * config.threshold:  # also NaN
        return "beyond_threshold"
    if config.keep_per_problem is not None and rank > config.keep_per_problem:
        return "beyond_keep_per_problem"
    if cutoff is not None and _last(cost) > _last(cutoff):
        return "outside_keep_fraction"
    return None


def _row(
    candidate: Considered, decision: _Decision, problem_id: str, config: SelectConfig
) -> Selection:
    """`by` and `value` are empty where the measure is RD, which has its column."""
    by_rd = config.is_by_rd
    return Selection(
        rationale_id=candidate.rationale_id,
        problem_id=problem_id,
        condition=candidate.condition,
        kept=decision.filter == "kept",
        filter=decision.filter,
        reason=decision.reason,
        rank=decision.rank,
        rd=candidate.rd,
        by=None if by_rd else config.measure,
        value=None if by_rd else candidate.value,
        duplicate_of=decision.duplicate_of,
    )


async def select(record: SelectRecord, ports: Ports, config: SelectConfig) -> Sequence[Selection]:
    """One Selection row a (rationale, condition)."""
    rows: list[Selection] = []
    for condition in ("original", "compressed"):
        group = [c for c in record.candidates if c.condition == condition]
        rows += select_condition(
            group, problem_id=record.problem_id, cutoff=record.cutoff, config=config
        )
    return rows


STAGE = Stage(
    name="select",
    reads="select",
    writes=Selection,
    record=SelectRecord,
    config=SelectConfig,
    step=select,
    revision=1,  # chains cut off are dropped; scripts without blanks are compared by characters
    upstream=("generate", "verify", "rewrite", "compress", "score"),
    is_global=True,
    expects=Expectation(
        records=lambda book, config: book.num_problems,
        usage=lambda book, config: ExpectedUsage(),
    ),
)
