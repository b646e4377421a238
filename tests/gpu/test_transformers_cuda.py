"""The transformers engine on a CUDA device: the same texts and scores as on the CPU."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from infra.engines import EngineConfig, open_engine
from tasks.ports import Prompt, Sampling, ScoreRequest
from tests.tiny_models import save_tiny_model

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

REQUESTS = [
    (Prompt(text="1) right 4 " * n), Sampling(temperature=t, top_p=0.95, max_tokens=20, seed=n))
    for n in range(1, 9)
    for t in (0.0, 1.0)
]
SCORED = ScoreRequest(prompt=Prompt(text="3 + 4?"), targets=("1) 3 + 4 = 7", "7"))


async def replies(config: EngineConfig) -> tuple[list[str], list[float]]:
    engine: Any = open_engine(config)
    try:
        done = await asyncio.gather(*(engine.complete(*request) for request in REQUESTS))
        scores = await engine.score(SCORED)
        return [c.text for (c,) in done], [p for target in scores for p in target.logprobs]
    finally:
        engine.close()


async def test_the_device_changes_no_text_in_float64(tmp_path: Path) -> None:
    model = str(save_tiny_model(tmp_path))
    cpu = await replies(EngineConfig(model=model, dtype="float64", device="cpu"))
    cuda = await replies(EngineConfig(model=model, dtype="float64", device="cuda"))
    assert cuda[0] == cpu[0]
    # rotary embeddings and norms are computed in float32 whatever the dtype
    assert cuda[1] == pytest.approx(cpu[1], rel=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "auto"])
async def test_every_dtype_writes_and_scores(tmp_path: Path, dtype: str) -> None:
    model = str(save_tiny_model(tmp_path))
    config = EngineConfig.model_validate({"model": model, "dtype": dtype, "device": "cuda"})
    texts, logprobs = await replies(config)
    assert len(texts) == len(REQUESTS)
    assert all(p < 0 for p in logprobs)
