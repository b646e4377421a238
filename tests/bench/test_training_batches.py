"""Packed, grouped and randomly padded batches of real chains, trained by the same two CPU ranks.

    BENCH_BATCH_ROWS=60 python -m pytest tests/bench/test_training_batches.py -s -q
    BENCH_BATCH_WIDTH=576 BENCH_BATCH_LAYERS=8 ...  # another model: 64 a head, 3 times that inside

Half long chains, half short ones, of the same problems; each way learns every example once, in one
pair of processes, in turns. Tokens a second count no padding and no start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from infra.training.reports import TrainingExample
from tests.rank_runs import Outcome, RankJob, run_jobs
from tests.real_chains import VOCABULARY, math500, read, save_qwen2_tokenizer
from tests.scoring_reference import PROMPT
from tests.tiny_models import SPECIALS

ROWS = int(os.environ.get("BENCH_BATCH_ROWS", "8"))
ROUNDS = int(os.environ.get("BENCH_BATCH_ROUNDS", "1"))
WIDTH = int(os.environ.get("BENCH_BATCH_WIDTH", "256"))
LAYERS = int(os.environ.get("BENCH_BATCH_LAYERS", "4"))
PADDED = {"per_rank_batch_size": 4, "global_batch_size": 8}
WAYS: dict[str, dict[str, Any]] = {
    "random": {"batching": "random", **PADDED},
    "grouped": {"batching": "grouped", **PADDED},
    "packed": {"batching": "packed", "per_rank_batch_size": 1, "global_batch_size": 2},
}
LONGEST = {"short": 512, "long and short": 2048}  # tokens; longer ones are left out, and told


def examples(corpus: str) -> list[dict[str, Any]]:
    """Solutions of gsm8k; of MATH-500 a long chain and a short one in turn."""
    if corpus == "short":
        chains = [(row["question"], row["answer"]) for row in read("gsm8k_train")[:ROWS]]
    else:
        chains = [
            (problem.question, problem.chains[who])
            for problem in math500()[: ROWS // 2]
            for who in ("27b_long", "14b")
        ]
    return [
        asdict(TrainingExample(prompt=PROMPT.format(question=question), completion=chain))
        for question, chain in chains
    ]


def save_base(folder: Path) -> Path:
    """Random weights, large enough that arithmetic is most of the work."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    save_qwen2_tokenizer(folder)
    config = Qwen2Config(
        vocab_size=VOCABULARY + len(SPECIALS), hidden_size=WIDTH,
        intermediate_size=3 * WIDTH, num_hidden_layers=LAYERS, num_attention_heads=WIDTH // 64,
        num_key_value_heads=1 if WIDTH // 64 % 2 else 2,
        max_position_embeddings=4096, tie_word_embeddings=True,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.mark.timeout(7200)
def test_ways_to_make_batches(tmp_path: Path) -> None:
    base = str(save_base(tmp_path / "base"))
    same = {"device": "cpu", "dtype": "float32", "zero": "zero2", "epochs": 1,
            "held_out_examples": 0}  # fmt: skip
    jobs = [
        RankJob(
            run=f"{corpus}, {way}, {turn}",
            base=base,
            config=same | settings | {"max_length": longest, "bin_length": longest},
            examples=examples(corpus),
        )
        for corpus, longest in LONGEST.items()
        for turn in range(ROUNDS)
        for way, settings in WAYS.items()
    ]
    runs = zip([job.run for job in jobs], run_jobs(tmp_path / "runs", jobs), strict=True)
    outcomes = dict(runs)
    for corpus, longest in LONGEST.items():
        show(corpus, longest, outcomes)


def show(corpus: str, longest: int, outcomes: Mapping[str, Outcome]) -> None:
    def results(way: str) -> list[Outcome]:
        return [outcomes[f"{corpus}, {way}, {turn}"] for turn in range(ROUNDS)]

    first = results("random")[0].result
    print(
        f"\n{corpus}: {first.num_examples} examples of {first.train_tokens} tokens;"
        f" {first.num_too_long} longer than {longest} left out ({first.tokens_too_long} tokens)"
    )
    seconds = {way: median(o.curve[-1].seconds for o in results(way)) for way in WAYS}
    for way, taken in seconds.items():
        assert {o.result.train_tokens for o in results(way)} == {first.train_tokens}
        print(
            f"{way:8} {first.train_tokens / taken:8.0f} tokens/s,"
            f" {seconds['random'] / taken:.2f} times random"
        )
