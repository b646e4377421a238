"""Peak memory of a training rank beside what the plan counts, on CPU: one case a process.

A sample: `python -m tests.bench.training_memory 135M zero2` ->
{"case": "135M zero2", "measured_gib": 3.1, "counted_gib": 3.0, ...}
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from infra.training.budget.memory import GIB, memory_of
from infra.training.budget.shape import read_shape
from infra.training.config import TrainConfig
from infra.training.launch import train
from infra.training.reports import TrainingExample
from tests.tiny_models import tiny_tokenizer

# layers, width, MLP, heads, heads of keys, vocabulary; SmolLM2's own sizes, and less
SIZES = {
    "tiny": (2, 64, 192, 4, 2, 512),
    "45M": (12, 512, 1536, 8, 4, 16_384),
    "135M": (30, 576, 1536, 9, 3, 49_152),
}
TEMPLATE_TOKENS = 24  # at most, around prompt and completion
STEPS = 2


def save_random_llama(folder: Path, size: str) -> dict[str, Any]:
    """Its config.json."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    layers, width, mlp, heads, keys, vocabulary = SIZES[size]
    torch.manual_seed(0)
    config = LlamaConfig(
        num_hidden_layers=layers, hidden_size=width, intermediate_size=mlp,
        num_attention_heads=heads, num_key_value_heads=keys, vocab_size=vocabulary,
        tie_word_embeddings=True, max_position_embeddings=4096,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


def settings(zero: str, *, length: int, checkpointing: bool, ranks: int = 2) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "device": "cpu", "dtype": "float32", "zero": zero, "num_ranks": ranks,
            "per_rank_batch_size": 2, "max_length": length, "batching": "grouped",
            "gradient_checkpointing": checkpointing, "max_steps": STEPS, "held_out_examples": 0,
            "rope_theta": None,
        }
    )  # fmt: skip


def examples(length: int, num: int) -> list[TrainingExample]:
    """All as long as may be, but for the template's few tokens."""
    text = "z" * (length - TEMPLATE_TOKENS)  # a token each: the tokenizer never saw it
    return [
        TrainingExample(prompt=f"{n}", completion=text, condition="original") for n in range(num)
    ]


def measure(size: str, zero: str, *, length: int, checkpointing: bool) -> dict[str, Any]:
    """Train so, a few steps; GiB of the fullest rank, and what the plan counts."""
    config = settings(zero, length=length, checkpointing=checkpointing)
    with TemporaryDirectory() as folder:
        base = Path(folder, "base")
        shape = read_shape(save_random_llama(base, size))
        assert shape is not None
        trained = train(
            config, base=base, examples=examples(length, 2 * config.batch_size),
            output=Path(folder, "student"),
        )  # fmt: skip
    counted = memory_of(shape, config, per_node=config.num_ranks)
    parts = {
        name: round(getattr(counted, name) / GIB, 3)
        for name in ("states", "activations", "head", "buffers", "allowance")
    }
    return {
        "size": size, "zero": zero, "length": length, "checkpointing": checkpointing,
        "parameters": shape.num_parameters, "engine": trained.engine, "stage": trained.zero_stage,
        "measured": round(trained.peak_memory_bytes / GIB, 3),
        "counted": round(counted.total / GIB, 3), **parts,
    }  # fmt: skip


if __name__ == "__main__":
    size, zero, length, checkpointing = sys.argv[1:]
    found = measure(size, zero, length=int(length), checkpointing=checkpointing == "again")
    print(json.dumps(found), flush=True)
