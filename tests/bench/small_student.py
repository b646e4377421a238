"""A small student trained from scratch on real rationales: the best reader that needs no download.

Role: scorers are only as good as the student they ask, and the embedded nano models know one small
world. Invariant: no question of `held_out` is among its lessons.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.tiny_models import SPECIALS, TEMPLATE

VOCABULARY = 4096
CONTEXT = 2048
MAX_LESSON = 384  # tokens; longer chains are cut, an epoch of long ones would crowd out the rest
BATCH_TOKENS = 2048
WIDTH, LAYERS = 192, 3
LEARNING_RATE = 3e-3
CANDIDATE_FILES = (
    "math100_qwen25math_8candidates", "math500_qwen25_14b_instruct", "math500_skyt1_32b_shortcot",
)  # fmt: skip


def _read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]


def read_lessons(data: Path, held_out: frozenset[str]) -> list[tuple[str, str]]:
    """(question, rationale) of every recorded right rationale whose question is not held out."""
    found = [
        (row["question"], re.sub(r"<<[^>]*>>", "", row["answer"]))
        for row in _read(data / "gsm8k_train.jsonl")
    ]
    for row in _read(data / "date_understanding_chatgpt_10candidates.jsonl"):
        right = zip(row["model_outputs"], row["per_sample_correct"], strict=True)
        found += [(row["question"], text) for text, is_right in right if is_right]
    for name in CANDIDATE_FILES:
        for row in _read(data / f"{name}.jsonl"):
            right = zip(row["code"], row["score"], strict=True)
            found += [(row["question"], text) for text, is_right in right if is_right]
    return [(q, text) for q, text in found if " ".join(q.split()) not in held_out]


def _train_tokenizer(texts: Iterator[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),  # as Qwen2 does
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    )  # fmt: skip
    backend.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _batches(rows: list[list[int]], num_tokens: int, seed: int) -> Iterator[list[list[int]]]:
    """Batches of rows alike in length, until `num_tokens` have gone by."""
    random.seed(seed)
    spent = 0
    while True:
        order = sorted(rows, key=lambda row: (len(row) // 16, random.random()))
        size = [max(1, BATCH_TOKENS // len(row)) for row in order]
        batches, start = [], 0
        while start < len(order):
            batches.append(order[start : start + size[start]])
            start += size[start]
        random.shuffle(batches)
        for batch in batches:
            if spent >= num_tokens:
                return
            spent += sum(map(len, batch))
            yield batch


def _learning_rate(share_done: float) -> float:
    """Two percent of warm-up, then a cosine to zero."""
    warm = min(1.0, share_done / 0.02 + 0.01)
    return LEARNING_RATE * warm * (1 + math.cos(math.pi * share_done)) / 2


def _random_model(tokenizer: Any) -> Any:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=WIDTH * 3,
            num_hidden_layers=LAYERS, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=CONTEXT, tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
        )
    )  # fmt: skip


def _fit(model: Any, rows: list[list[int]], *, pad: int, num_tokens: int) -> float:
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    losses, spent = [], 0
    for batch in _batches(rows, num_tokens, seed=0):
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(spent / num_tokens)
        ids = torch.full((len(batch), max(map(len, batch))), pad)
        for index, row in enumerate(batch):
            ids[index, : len(row)] = torch.tensor(row)
        labels = ids.masked_fill(ids == pad, -100)
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        spent += sum(map(len, batch))
        losses.append(loss.item())
        if len(losses) % 200 == 0:
            print(f"{spent} tokens, loss {sum(losses[-200:]) / 200:.3f}", flush=True)
    return sum(losses[-50:]) / len(losses[-50:])


def train_small_student(
    data: Path, folder: Path, *, held_out: frozenset[str], num_tokens: int
) -> float:
    """Saves model and tokenizer in `folder`; returns the mean loss of the last 50 batches, nats."""
    from infra.engines.chat import chat_encoder
    from tasks.prompts import PromptFiles

    lessons, book = read_lessons(data, held_out), PromptFiles("default")
    tokenizer = _train_tokenizer(text for lesson in lessons for text in lesson)
    encoder, model = chat_encoder(tokenizer), _random_model(tokenizer)
    rows = []
    for question, text in lessons:
        prompt = encoder.encode_prompt(book.render("generate", question=question))
        row = [*prompt, *encoder.encode_text(text), tokenizer.eos_token_id]
        rows.append(row[:MAX_LESSON])
    loss = _fit(model, rows, pad=tokenizer.pad_token_id, num_tokens=num_tokens)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return loss
