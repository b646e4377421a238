"""The table of a seed: `python -m tests.answer_pairs --seed 3 --failures failures.jsonl`."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

from tests.answer_pairs.judging import judge, judge_alone, samples, table, write_failures
from tests.answer_pairs.pairs import FAMILIES, pairs


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.answer_pairs", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--failures", type=Path, help="write wrong verdicts here, as JSONL")
    parser.add_argument("--family", choices=list(FAMILIES), action="append")
    parser.add_argument("--alone", action="store_true", help="math-verify by itself")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--show", action="store_true", help="print pairs, judge nothing")
    asked = parser.parse_args()
    made = pairs(asked.seed, asked.count, families=asked.family)
    if asked.show:
        for each in made:
            print(
                f"{'=' if each.is_equal else '≠'} {each.family:<12} {each.gold!r:<40} {each.text!r}"
            )
        return
    started = time.perf_counter()
    judged = (judge_alone if asked.alone else judge)(made)
    took = time.perf_counter() - started
    print(*samples(judged, asked.samples), "", *table(judged), sep="\n")
    faults = Counter(
        (each.pair.family, "accepts" if each.accepted else "rejects", each.pair.stated_form)
        for each in judged
        if each.is_wrong
    )
    print("\nmost frequent faults:")
    for (family, fault, form), number in faults.most_common(15):
        print(f"{number:>5} {fault} {family}, {form}")
    print(f"{took:.1f} s")
    if asked.failures:
        print(f"{write_failures(judged, asked.failures)} wrong verdicts: {asked.failures}")


if __name__ == "__main__":
    main()
