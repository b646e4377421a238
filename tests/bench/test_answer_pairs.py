"""The pairs with known truth (tests/answer_pairs) through ours and through math-verify alone.

ANSWER_PAIRS_SEED (another than CI's by default) and ANSWER_PAIRS_COUNT say which and how many;
ANSWER_PAIRS_FAILURES is a folder for the wrong verdicts of both, as JSONL.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.answer_pairs.judging import Judged, judge, judge_alone, tallies, write_failures
from tests.answer_pairs.pairs import pairs

SEED = int(os.environ.get("ANSWER_PAIRS_SEED", "7"))
NUM_PAIRS = int(os.environ.get("ANSWER_PAIRS_COUNT", "20000"))


def beside(ours: list[Judged], alone: list[Judged]) -> Iterator[str]:
    """A line a family: what each accepts wrongly, of the unequal, and rejects wrongly."""
    yield (
        f"{'family':<18} {'unequal':>8} {'accepted: ours':>15} {'alone':>6} "
        f"{'equal':>8} {'rejected: ours':>15} {'alone':>6} {'ours':>8} {'alone':>8}"
    )
    for mine, other in zip(tallies(ours), tallies(alone), strict=True):
        yield (
            f"{mine.family:<18} {mine.count - mine.num_equal:>8} {mine.false_accepts:>15} "
            f"{other.false_accepts:>6} {mine.num_equal:>8} {mine.false_rejects:>15} "
            f"{other.false_rejects:>6} {mine.rejects:>8.2%} {other.rejects:>8.2%}"
        )


@pytest.mark.timeout(3_600)
def test_pairs_with_known_truth_beside_math_verify_alone(tmp_path: Path) -> None:
    made = pairs(SEED, NUM_PAIRS)
    started = time.perf_counter()
    ours = judge(made)
    ours_done = time.perf_counter()
    alone = judge_alone(made)
    alone_s = time.perf_counter() - ours_done
    print("", *beside(ours, alone), sep="\n")
    print(
        f"seed {SEED}: {NUM_PAIRS / (ours_done - started):.0f} answers/s, "
        f"alone {NUM_PAIRS / alone_s:.0f}"
    )
    folder = Path(os.environ.get("ANSWER_PAIRS_FAILURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    for name, judged in (("ours", ours), ("alone", alone)):
        path = folder / f"{name}.jsonl"
        print(f"{name}: {write_failures(judged, path)} wrong verdicts in {path}")
    *_, mine = tallies(ours)
    *_, other = tallies(alone)
    assert mine.false_accepts == 0
    assert mine.rejects <= 0.01
    assert mine.false_rejects <= other.false_rejects
