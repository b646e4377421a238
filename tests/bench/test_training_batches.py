"""Packed, grouped and randomly padded batches of real chains, trained by the same two CPU ranks.

    BENCH_BATCH_ROWS=60 python -m pytest tests/bench/test_training_batches.py -s -q

Half long chains, half short ones, of the same problems; each way learns every example once, in one
pair of processes, in turns. Tokens a second count no padding and no start.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from infra.training.reports import TrainingExample
from tests.rank_runs import Outcome, RankJob, run_jobs
from tests.real_chains import math500, save_qwen2_model
from tests.scoring_reference import PROMPT

ROWS = int(os.environ.get("BENCH_BATCH_ROWS", "8"))
ROUNDS = int(os.environ.get("BENCH_BATCH_ROUNDS", "1"))
LONGEST = 2048
PADDED = {"per_rank_batch_size": 4, "global_batch_size": 8}
WAYS: dict[str, dict[str, Any]] = {
    "random": {"batching": "random", **PADDED},
    "grouped": {"batching": "grouped", **PADDED},
} | {
    f"packed {length}": {"batching": "packed", "bin_length": length, "per_rank_batch_size": 1,
                         "global_batch_size": 2}
    for length in (512, 1024, 2048)
}  # fmt: skip


def examples() -> list[dict[str, Any]]:
    """Every other example is long, as a corpus of both conditions has them."""
    found = [
        TrainingExample(
            prompt=PROMPT.format(question=problem.question), completion=problem.chains[who]
        )
        for problem in math500()[: ROWS // 2]
        for who in ("27b_long", "14b")
    ]
    return [asdict(example) for example in found]


def seconds_of(outcome: Outcome) -> float:
    """Of training, start and held-out losses excluded."""
    return outcome.curve[-1].seconds


@pytest.mark.timeout(3600)
def test_ways_to_make_batches(tmp_path: Path) -> None:
    base = str(save_qwen2_model(tmp_path / "base"))
    config = {"device": "cpu", "dtype": "float32", "zero": "zero2", "epochs": 1,
              "max_length": LONGEST, "held_out_examples": 0}  # fmt: skip
    jobs = [
        RankJob(run=f"{way} {turn}", base=base, config=config | settings, examples=examples())
        for turn in range(ROUNDS)
        for way, settings in WAYS.items()
    ]
    outcomes = dict(zip([job.run for job in jobs], run_jobs(tmp_path / "runs", jobs), strict=True))
    results = [outcome.result for outcome in outcomes.values()]
    assert len({(r.train_tokens, r.num_examples, r.num_too_long) for r in results}) == 1
    first = results[0]
    print(
        f"\n{first.num_examples} examples of {first.train_tokens} tokens,"
        f" {first.num_too_long} longer than {LONGEST} left out ({first.tokens_too_long} tokens)"
    )
    random_s = median(seconds_of(outcomes[f"random {turn}"]) for turn in range(ROUNDS))
    for way in WAYS:
        seconds = median(seconds_of(outcomes[f"{way} {turn}"]) for turn in range(ROUNDS))
        print(
            f"{way:12} {first.train_tokens / seconds:8.0f} tokens/s, {random_s / seconds:.2f} times"
            f" random, loss {outcomes[f'{way} 0'].result.train_loss:.3f}"
        )
