"""An epoch of SmolLM2 on real rationales: held-out loss before and after, on two CPU ranks.

    BENCH_EPOCH_ROWS=300 python -m pytest tests/bench/test_smollm2_epoch.py -s -q

The shortest rows of gsm8k's training problems, as the machine is small; every eleventh is held out.
The loss is a mean over the assistant's tokens, each row alone. What is done lies in
BENCH_EPOCH_FOLDER (the student, the loss before) and is not done again by the next start.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from infra.engines import smollm2
from infra.engines.chat import IGNORED_LABEL, encode_example, load_tokenizer
from infra.training.config import TrainConfig
from infra.training.launch import train
from infra.training.reports import TrainingExample
from tasks.ports import Prompt
from tests.real_chains import read
from tests.scoring_reference import PROMPT

ROWS = int(os.environ.get("BENCH_EPOCH_ROWS", "12"))
FOLDER = Path(os.environ.get("BENCH_EPOCH_FOLDER", "build/smollm2-epoch"))
EVERY = 11
CONFIG = TrainConfig(
    device="cpu", zero="zero2", num_ranks=2, dtype="float32", epochs=1, learning_rate=2e-5,
    per_rank_batch_size=4, max_length=512,
)  # fmt: skip


def examples() -> tuple[list[TrainingExample], list[TrainingExample]]:
    """To train on, and held out."""
    rows = sorted(read("gsm8k_train"), key=lambda row: len(row["question"]) + len(row["answer"]))
    made = [
        TrainingExample(prompt=PROMPT.format(question=row["question"]), completion=row["answer"])
        for row in rows[: ROWS + ROWS // (EVERY - 1) + 1]
    ]
    held_out = made[::EVERY]
    return [each for each in made if each not in held_out][:ROWS], held_out


def held_out_loss(folder: Path, rows: list[TrainingExample]) -> float:
    """Nats a token of the assistant's."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(str(folder))
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    total, count = 0.0, 0
    for row in rows:
        encoded = encode_example(tokenizer, Prompt(text=row.prompt), row.completion)
        num_learnt = sum(label != IGNORED_LABEL for label in encoded.labels)
        with torch.no_grad():
            found = model(
                input_ids=torch.tensor([encoded.input_ids]), labels=torch.tensor([encoded.labels])
            )
        total, count = total + found.loss.item() * num_learnt, count + num_learnt
    return total / count


@pytest.mark.timeout(7200)
def test_an_epoch_lowers_the_held_out_loss() -> None:
    if smollm2.fault():
        pytest.skip(str(smollm2.fault()))
    rows, held_out = examples()
    FOLDER.mkdir(parents=True, exist_ok=True)
    known = FOLDER / f"before-{ROWS}.json"
    base, student = smollm2.made_folder(), FOLDER / f"student-{ROWS}"
    if not known.is_file():
        known.write_text(json.dumps(held_out_loss(base, held_out)))
    before = json.loads(known.read_text())
    print(f"\n{len(rows)} rows, {len(held_out)} held out: loss before {before:.4f}", flush=True)
    if not student.is_dir():
        started = time.perf_counter()
        result = train(
            CONFIG, base=str(base), examples=rows, output=student,
            on_progress=lambda step: print(f"step {step.step}/{step.num_steps} {step.loss:.4f}"),
        )  # fmt: skip
        seconds = time.perf_counter() - started
        print(
            f"trained in {seconds:.0f} s: {result.train_tokens / seconds:.0f} tokens/s, "
            "start included"
        )
    after = held_out_loss(student, held_out)
    print(f"loss after {after:.4f}")
    assert after < before
