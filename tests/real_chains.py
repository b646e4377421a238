"""Real chains of real models (shared/data, beside the checkout) and a tokenizer to count them by.

The chains of one MATH-500 problem: Sky-T1 27B (long), Sky-T1 32B (short) and Qwen2.5 14B; of 100
other MATH problems, eight samples of Qwen2.5-Math. A sample: `math500()[0].chains["27b_long"]`.

No hub is needed: the tokenizer is of Qwen2's kind (its pre-tokenizer, byte-level BPE, its added
tokens) but trained here, on gsm8k, with a vocabulary of 8 000 instead of 151 643.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_models import SPECIALS, TEMPLATE

DATA = Path(__file__).parents[1].parent / "shared" / "data"
MATH500 = {
    "27b_long": "math500_skyt1_27b_longcot",
    "32b_short": "math500_skyt1_32b_shortcot",
    "14b": "math500_qwen25_14b_instruct",
}
MATH100 = "math100_qwen25math_8candidates"
VOCABULARY = 8_000


@dataclass(frozen=True)
class RealProblem:
    """A problem with the chains that models wrote for it, by who wrote them."""

    question: str
    answer: str
    level: int
    chains: dict[str, str]
    recorded: dict[str, bool]  # the source's own grading


def read(name: str) -> list[dict[str, Any]]:
    """Rows of a file of shared/data; the test is skipped where it is absent."""
    file = DATA / f"{name}.jsonl"
    if not file.exists():
        pytest.skip(f"{file.name} is not beside this checkout")
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@cache
def math500() -> list[RealProblem]:
    """MATH-500 with one chain of each of three models."""
    files = {who: {row["idx"]: row for row in read(name)} for who, name in MATH500.items()}
    first = files["27b_long"]
    return [
        RealProblem(
            question=row["question"],
            answer=row["gt"],
            level=int(row["level"]),
            chains={who: rows[idx]["code"][0] for who, rows in files.items()},
            recorded={who: bool(rows[idx]["score"][0]) for who, rows in files.items()},
        )
        for idx, row in first.items()
    ]


@cache
def math100() -> list[RealProblem]:
    """100 MATH problems with eight chains of one model, "0" to "7"."""
    return [
        RealProblem(
            question=row["question"],
            answer=row["gt"],
            level=int(str(row["level"]).removeprefix("Level ")),
            chains={str(number): text for number, text in enumerate(row["code"])},
            recorded={str(number): bool(right) for number, right in enumerate(row["score"])},
        )
        for row in read(MATH100)
    ]


def save_qwen2_model(folder: Path) -> Path:
    """A random one-layer Qwen2 with that tokenizer: a target model whose folder can be named."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=VOCABULARY + len(SPECIALS), hidden_size=32, intermediate_size=64,
        num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=512, tie_word_embeddings=True,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return save_qwen2_tokenizer(folder)


def save_qwen2_tokenizer(folder: Path) -> Path:
    """Train a byte-level BPE with Qwen2's pre-tokenizer on gsm8k's problems and solutions."""
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        trainers,
    )
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rows = read("gsm8k_train")
    tokenizer.train_from_iterator((row["question"] + "\n" + row["answer"] for row in rows), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIALS])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    declared = {
        "tokenizer_class": "Qwen2Tokenizer", "unk_token": None, "bos_token": None,
        "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "chat_template": TEMPLATE,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(declared), encoding="utf-8")
    return folder
