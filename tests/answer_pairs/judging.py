"""The pairs through a verifier: the product's own grader, or math-verify by itself; and the table.

Invariant: only this module knows tasks.answers; what makes the pairs does not.

A sample line: "integers   1111 pairs   false accepts 2   false rejects 3 (0.49%)".
"""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.runs.grading import ProcessGrader
from tasks.answers import infer_answer_type
from tests.answer_pairs.pairs import Pair

WORKERS = 2
IN_FLIGHT = 64


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A pair and a verdict on it."""

    pair: Pair
    answer_type: str
    verdict: str
    read: str | None

    @property
    def accepted(self) -> bool:
        return self.verdict == "correct"

    @property
    def false_accept(self) -> bool:
        return self.accepted and not self.pair.is_equal

    @property
    def false_reject(self) -> bool:
        return self.pair.is_equal and not self.accepted

    @property
    def is_wrong(self) -> bool:
        return self.accepted != self.pair.is_equal


def type_of(pair: Pair) -> str:
    return pair.answer_type or infer_answer_type(pair.gold, pair.question)


async def _grade_all(pairs: Sequence[Pair]) -> list[Judged]:
    grader = ProcessGrader(max_workers=WORKERS)
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def one(pair: Pair) -> Judged:
        async with slots:
            answer_type = type_of(pair)
            grade = await grader.grade(
                pair.text, answer=pair.gold, answer_type=answer_type, truncated=False
            )  # fmt: skip
            return Judged(
                pair=pair,
                answer_type=answer_type,
                verdict=grade.verdict,
                read=grade.extracted_answer,
            )  # fmt: skip

    try:
        return await asyncio.gather(*map(one, pairs))
    finally:
        grader.close()


def judge(pairs: Sequence[Pair]) -> list[Judged]:
    """By the product's grader, two workers for what needs algebra."""
    return asyncio.run(_grade_all(pairs))


def _verify_alone(pair: Pair) -> Judged:
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)
    answer_type = type_of(pair)
    gold = pair.gold.rpartition("#### ")[2]
    if answer_type == "math" and "$" not in gold:  # it reads LaTeX nowhere else
        gold = f"${gold}$"
    is_equal = bool(verify(parse(gold), parse(pair.text)))
    return Judged(
        pair=pair, answer_type=answer_type, verdict="correct" if is_equal else "wrong", read=None
    )  # fmt: skip


def judge_alone(pairs: Sequence[Pair]) -> list[Judged]:
    """By `verify(parse(gold), parse(text))` with default settings, in two processes of its own."""
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(_verify_alone, pairs, chunksize=32))


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What a verifier did with a family's pairs; `rejects` is a share of the equal ones."""

    family: str
    count: int
    num_equal: int
    false_accepts: int
    false_rejects: int

    @property
    def rejects(self) -> float:
        return self.false_rejects / max(1, self.num_equal)

    def __str__(self) -> str:
        return (
            f"{self.family:<16} {self.count:>6} {self.false_accepts:>14} "
            f"{self.count - self.num_equal:>8} {self.false_rejects:>14} {self.num_equal:>8} "
            f"{self.rejects:>7.2%}"
        )  # fmt: skip


def tallies(judged: Sequence[Judged]) -> list[Tally]:
    """By family, in order, and all of them last."""
    families = list(dict.fromkeys(each.pair.family for each in judged))
    groups = [(name, [each for each in judged if each.pair.family == name]) for name in families]
    return [
        Tally(
            family=name,
            count=len(group),
            num_equal=sum(each.pair.is_equal for each in group),
            false_accepts=sum(each.false_accept for each in group),
            false_rejects=sum(each.false_reject for each in group),
        )
        for name, group in (*groups, ("all", list(judged)))
    ]  # fmt: skip


def table(judged: Sequence[Judged]) -> Iterator[str]:
    yield (
        f"{'family':<16} {'pairs':>6} {'false accepts':>14} {'of':>8} {'false rejects':>14} "
        f"{'of':>8} {'share':>7}"
    )  # fmt: skip
    yield from map(str, tallies(judged))


def samples(judged: Sequence[Judged], most: int = 20) -> Iterator[str]:
    """Some of the wrong verdicts, false accepts first."""
    wrong = [each for each in judged if each.is_wrong]
    random.Random(0).shuffle(wrong)
    for each in sorted(wrong, key=lambda found: not found.false_accept)[:most]:
        yield (
            f"{'ACCEPTED' if each.accepted else 'REJECTED'} {each.pair.family} "
            f"[{each.answer_type}] gold {each.pair.gold!r} text {each.pair.text[-160:]!r} "
            f"read {each.read!r}"
        )  # fmt: skip


def write_failures(judged: Sequence[Judged], path: Path) -> int:
    """JSONL, one wrong verdict a line; how many."""
    wrong = [each for each in judged if each.is_wrong]
    with path.open("w", encoding="utf-8") as file:
        for each in wrong:
            line = {
                **asdict(each.pair), "type": each.answer_type, "got": each.verdict,
                "read": each.read,
                "fault": "false accept" if each.false_accept else "false reject",
            }  # fmt: skip
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return len(wrong)


def timed_judge(pairs: Sequence[Pair]) -> tuple[list[Judged], float]:
    started = time.perf_counter()
    judged = judge(pairs)
    return judged, time.perf_counter() - started
