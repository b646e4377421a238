"""Scores equal those of a slow loop over the full logits, whatever the batch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from infra.engines import EngineConfig, scoring
from infra.engines.chat import chat_encoder, load_tokenizer
from infra.engines.scoring import take_similar
from infra.engines.transformers_engine import TransformersEngine
from tasks.ports import Prompt, ScoreRequest, TokenScores
from tests.tiny_models import save_tiny_model

REQUESTS = [
    ScoreRequest(prompt=Prompt(text="3 + 4?"), targets=("1) 3 + 4 = 7\n", "The answer is 7.")),
    ScoreRequest(prompt=Prompt(text="3 + 4?", compress=True), targets=("7",)),
    ScoreRequest(prompt=None, targets=("1) 3 + 4 = 7 <|im_end|> é漢", "", "7")),
    ScoreRequest(prompt=Prompt(text=""), targets=("",)),
    *(ScoreRequest(prompt=Prompt(text="q" * n), targets=("a " * n, "b")) for n in range(1, 40, 3)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[TransformersEngine]:
    opened = TransformersEngine(EngineConfig(model=str(folder), dtype="float64", threads=1))
    yield opened
    opened.close()


def reference(folder: Path, request: ScoreRequest) -> list[TokenScores]:
    """One forward pass a token, the whole distribution each time."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    encoder = chat_encoder(load_tokenizer(str(folder)))
    prompt = request.prompt
    ids = encoder.encode_start() if prompt is None else encoder.encode_prompt(prompt)
    found = []
    for target in request.targets:
        logprobs, ranks = [], []
        for token in encoder.encode_text(target):
            with torch.inference_mode():
                logits = model(torch.tensor([ids])).logits[0, -1]
            logprobs.append(float(logits.log_softmax(-1)[token]))
            ranks.append(1 + int((logits > logits[token]).sum()))
            ids = [*ids, token]
        found.append(TokenScores(logprobs=logprobs, ranks=ranks))
    return found


@pytest.mark.parametrize("request_", REQUESTS[:4])
async def test_scores_equal_a_slow_loop(
    engine: TransformersEngine, folder: Path, request_: ScoreRequest
) -> None:
    scored = await engine.score(request_)
    expected = reference(folder, request_)
    assert [s.ranks for s in scored] == [s.ranks for s in expected]
    for mine, slow in zip(scored, expected, strict=True):
        assert mine.logprobs == pytest.approx(slow.logprobs, rel=1e-9)


async def test_chunks_and_batches_change_nothing(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [await engine.score(request) for request in REQUESTS]
    monkeypatch.setattr(scoring, "CHUNK_LOGITS", 1000)  # three tokens at a time
    together = await asyncio.gather(*(engine.score(request) for request in REQUESTS))
    for one, other in zip(alone, together, strict=True):
        assert [s.ranks for s in one] == [s.ranks for s in other]
        for mine, theirs in zip(one, other, strict=True):
            assert mine.logprobs == pytest.approx(theirs.logprobs, rel=1e-9)


async def test_float32_is_close(engine: TransformersEngine, folder: Path) -> None:
    single = TransformersEngine(EngineConfig(model=str(folder), dtype="float32", threads=1))
    try:
        for request in REQUESTS[:3]:
            exact, rough = await engine.score(request), await single.score(request)
            for mine, theirs in zip(exact, rough, strict=True):
                assert mine.logprobs == pytest.approx(theirs.logprobs, rel=1e-4)
    finally:
        single.close()


def test_a_batch_is_the_oldest_and_its_likes() -> None:
    assert take_similar([50, 900, 51, 49, 10], max_rows=3, max_tokens=10_000) == [0, 2, 3]
    assert take_similar([50, 900, 51], max_rows=9, max_tokens=110) == [0, 2]
    assert take_similar([900, 1], max_rows=9, max_tokens=100) == [0]
