"""An epoch of SmolLM2 on real rationales: held-out loss before and after, on two CPU ranks.

    BENCH_EPOCH_ROWS=300 python -m pytest tests/bench/test_smollm2_epoch.py -s -q

The first rows of gsm8k's training problems with their published rationales, nothing chosen; a tenth
more is held out, as any training holds it out. Plain transformers computes both losses again. The
ranks are started without Ray, whose monitor ends them where others fill the machine's memory.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from infra.engines import smollm2
from infra.engines.chat import IGNORED_LABEL, load_tokenizer
from infra.training.config import TrainConfig
from infra.training.data import Item, TrainingData, prepare_data
from infra.training.reports import TrainingExample
from tests.rank_runs import RankJob, run_jobs
from tests.real_chains import read
from tests.scoring_reference import PROMPT

ROWS = int(os.environ.get("BENCH_EPOCH_ROWS", "12"))
NUM_HELD_OUT = max(1, ROWS // 10)
CONFIG = TrainConfig(
    device="cpu", zero="zero2", num_ranks=2, dtype="float32", epochs=1, per_rank_batch_size=1,
    gradient_accumulation=4, gradient_checkpointing=True, max_length=640,
    held_out_examples=NUM_HELD_OUT, held_out_every=1.0,
)  # fmt: skip


def examples() -> list[TrainingExample]:
    return [
        TrainingExample(prompt=PROMPT.format(question=row["question"]), completion=row["answer"])
        for row in read("gsm8k_train")[: ROWS + NUM_HELD_OUT]
    ]


def plain_loss(folder: Path, items: Sequence[Item]) -> float:
    """Nats a learnt token, one row at a time."""
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    total, count = 0.0, 0
    for item in items:
        num_learnt = sum(label != IGNORED_LABEL for label in item["labels"])
        with torch.no_grad():
            found = model(
                input_ids=torch.tensor([item["input_ids"]]), labels=torch.tensor([item["labels"]])
            )
        total, count = total + found.loss.item() * num_learnt, count + num_learnt
    return total / count


@pytest.mark.timeout(7200)
def test_an_epoch_lowers_the_held_out_loss(tmp_path: Path) -> None:
    if smollm2.fault():
        pytest.skip(str(smollm2.fault()))
    base = smollm2.made_folder()
    data = prepare_data(load_tokenizer(str(base)), examples(), CONFIG)
    held_out, num_tokens = data.held_out, TrainingData.tokens(data.train)
    print(
        f"\n{len(data.train)} rows of {num_tokens} tokens, {data.learnt_tokens(data.train)} of them"
        f" learnt; {len(held_out)} held out; {len(data.too_long)} left out as too long",
        flush=True,
    )
    job = RankJob(
        run="epoch", base=str(base), config=CONFIG.model_dump(exclude_unset=True),
        examples=[asdict(each) for each in examples()],
    )  # fmt: skip
    started = time.perf_counter()
    (done,) = run_jobs(tmp_path, [job])
    seconds = time.perf_counter() - started
    assert done.error is None
    print(done.starts[0].line)
    before, after = done.curve[0].held_out_loss, done.result.held_out_loss
    assert before is not None
    assert after is not None
    print(
        f"{seconds:.0f} s with start and saving, steps {done.curve[-1].seconds:.0f} s:"
        f" {done.curve[-1].tokens / done.curve[-1].seconds:.0f} tokens/s,"
        f" {done.result.peak_memory_bytes / 2**30:.1f} GiB a rank;"
        f" held-out loss {before:.4f} before, {after:.4f} after"
    )
    plain = [plain_loss(folder, held_out) for folder in (base, done.model)]
    print(f"plain transformers: {plain[0]:.4f} before, {plain[1]:.4f} after")
    assert [before, after] == pytest.approx(plain, abs=1e-4)
    assert after < before
