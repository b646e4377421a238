"""Models of the checks: SmolLM2 as it is, else random ones of a published shape; and texts.

Invariant: a made folder is whole or absent, so that a check that was ended leaves no half of one.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.engines import smollm2
from infra.training.reports import TrainingExample
from tests.tiny_models import tiny_tokenizer

ROOT = Path(__file__).parents[3]
SMOLLM2_SHAPE = {
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3,
}  # fmt: skip
QWEN_SHAPE = {
    "vocab_size": 151936, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
    "num_attention_heads": 12, "num_key_value_heads": 2,
}  # fmt: skip
QWEN_PART = {**QWEN_SHAPE, "vocab_size": 32768, "num_hidden_layers": 2}
# Of our own writing: (question, answer, rationale).
PROBLEMS = [
    (
        "A gardener plants 4 rows of 6 tulips and gives 5 of the tulips away. How many are left?",
        "19",
        "The gardener plants 4 * 6 = 24 tulips.\nShe gives 5 away, so 24 - 5 = 19 are left.",
    ),
    (
        "A train leaves at 9:40 and arrives at 11:05. How many minutes does it take?",
        "85",
        "From 9:40 to 10:40 is one hour, which is 60 minutes.\nFrom 10:40 to 11:05 is 25 minutes.\n"
        "Together that is 60 + 25 = 85 minutes.",
    ),
    (
        "Three friends share 51 marbles equally. Each then loses 2. How many has each one now?",
        "15",
        "Each friend gets 51 / 3 = 17 marbles.\nAfter losing 2, each has 17 - 2 = 15.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Made:
    """A model's folder, and what it is, in words for the figures."""

    folder: Path
    is_real: bool
    words: str


def made_smollm2(cache: Path) -> Made:
    """The product's own `smollm2` where it can be made, else its shape at random.

    Tried once a run; the check `smollm2` fails where it could have been made.
    """
    note = cache / "smollm2-fault"
    fault = note.read_text() if note.exists() else smollm2.fault()
    if fault is None:
        try:
            return Made(folder=smollm2.made_folder(), is_real=True, words="SmolLM2-135M-Instruct")
        except Exception as error:  # of transformers, of the disk: the others go on without it
            fault = f"{type(error).__name__}: {error}"
            note.write_text(fault)
    folder = _once(cache / "random-smollm2", lambda to: _make("Llama", SMOLLM2_SHAPE, to))
    return Made(folder=folder, is_real=False, words=f"random, of SmolLM2-135M's shape ({fault})")


def made_qwen(cache: Path, *, is_whole: bool) -> Made:
    """At random: speed and memory are those of any weights of the shape."""
    shape, name = (QWEN_SHAPE, "qwen-1.5b") if is_whole else (QWEN_PART, "qwen-part")
    words = "random, of Qwen2.5-1.5B's shape"
    if not is_whole:
        words += ", 2 of its 28 layers and 32768 of its 151936 words (CPU)"
    folder = _once(cache / name, lambda to: _make("Qwen2", shape, to))
    return Made(folder=folder, is_real=False, words=words)


def _once(target: Path, make: Callable[[Path], None]) -> Path:
    if target.is_dir():
        return target
    growing = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    try:
        make(growing)
        os.replace(growing, target)
    finally:
        shutil.rmtree(growing, ignore_errors=True)
    return target


def _make(family: str, shape: dict[str, int], target: Path) -> None:
    """In a process of its own: this one holds nothing of the GPU that ranks are measured on."""
    code = f"from tests.gpu.bare.models import save; save({family!r}, {shape!r}, {str(target)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def save(family: str, shape: dict[str, int], target: str) -> None:
    """In bfloat16, drawn on the GPU where there is one: 1.5 B numbers take a minute on a CPU."""
    import torch
    import transformers

    tokenizer = tiny_tokenizer()
    config = getattr(transformers, f"{family}Config")(
        **shape, tie_word_embeddings=True, max_position_embeddings=32768,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    kind: Any = getattr(transformers, f"{family}ForCausalLM")
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = kind(config).to(torch.bfloat16)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def chains(count: int, *, seed: int = 0, words: Callable[[random.Random], int]) -> list[Any]:
    """Examples of sums worked step by step; `words(draw)` steps each, so lengths as it says."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        total, lines = draw.randrange(50), []
        first = total
        for step in range(max(1, words(draw))):
            more = draw.randrange(2, 30)
            lines.append(f"{step + 1}) {total} + {more} = {total + more}")
            total += more
        made.append(
            TrainingExample(
                prompt=f"Begin with {first} and add what list {number} says. Where do you end?",
                completion="\n".join([*lines, f"The answer is {total}."]),
                condition="compressed" if number % 2 else "original",
            )
        )
    return made
