"""Decoding on a CPU: the engine against transformers' `generate` on the same prompts, same run."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from infra.engines import EngineConfig, open_engine
from infra.engines.chat import chat_encoder, load_tokenizer
from infra.engines.model_files import model_source
from infra.nano.files import resolve_nano
from tasks.ports import Prompt, Sampling
from tasks.prompts import PromptFiles

NUM_PROMPTS = 128
MAX_TOKENS = 400
MODEL = "nano:teacher"


def prompts() -> list[Prompt]:
    lines = Path(resolve_nano("nano:train")).read_text().splitlines()[:NUM_PROMPTS]
    book = PromptFiles("nano")
    return [book.render("generate", question=json.loads(line)["question"]) for line in lines]


def run_engine(dtype: str) -> tuple[int, float]:
    """Tokens written and seconds, model loaded beforehand."""
    config = EngineConfig(
        model=MODEL, dtype=dtype, device="cpu", max_batch_size=192, max_batch_tokens=4096
    )
    engine = open_engine(config)
    sampling = Sampling(max_tokens=MAX_TOKENS)

    async def ask() -> int:
        replies = await asyncio.gather(*(engine.complete(p, sampling) for p in prompts()))
        return sum(c.completion_tokens for reply in replies for c in reply)

    started = time.perf_counter()
    tokens = asyncio.run(ask())
    seconds = time.perf_counter() - started
    engine.close()
    return tokens, seconds


def run_generate(dtype: torch.dtype, batch_size: int) -> tuple[int, float]:
    """The plain way: batches in order of length, left-padded, greedy."""
    tokenizer = load_tokenizer(model_source(MODEL))
    model = AutoModelForCausalLM.from_pretrained(model_source(MODEL), dtype=dtype).eval()
    encoder = chat_encoder(tokenizer)
    rows = sorted((encoder.encode_prompt(p) for p in prompts()), key=len)
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    tokens, started = 0, time.perf_counter()
    for first in range(0, len(rows), batch_size):
        batch = rows[first : first + batch_size]
        width = max(map(len, batch))
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in batch])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch])
        with torch.inference_mode():
            written = model.generate(
                ids, attention_mask=mask, max_new_tokens=MAX_TOKENS, do_sample=False,
                pad_token_id=pad, eos_token_id=end,
            )[:, width:]  # fmt: skip
        tokens += int((written != pad).sum())
    return tokens, time.perf_counter() - started


def test_engine_against_generate() -> None:
    print(f"\n{NUM_PROMPTS} prompts, {MODEL}, greedy, {torch.get_num_threads()} threads")
    for dtype in ("float32", "float64"):
        tokens, seconds = run_engine(dtype)
        plain_tokens, plain_seconds = run_generate(getattr(torch, dtype), 64)
        ours, plain = tokens / seconds, plain_tokens / plain_seconds
        rates = f"engine {ours:.0f} tokens/s, generate {plain:.0f}"
        print(f"{dtype}: {rates}, ratio {ours / plain:.2f}")
        assert abs(tokens - plain_tokens) <= 0.02 * plain_tokens  # the same work
