"""The transformers engine on the device: texts of plain transformers in float64, every dtype."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from infra.engines import EngineConfig, open_engine
from tasks.ports import Prompt, Sampling, ScoreRequest
from tests.gpu.bare.models import Made
from tests.tiny_models import save_tiny_model

pytestmark = pytest.mark.gpu

REQUESTS = [
    (Prompt(text="1) right 4 " * n), Sampling(temperature=t, top_p=0.95, max_tokens=20, seed=n))
    for n in range(1, 9)
    for t in (0.0, 1.0)
]
SCORED = ScoreRequest(prompt=Prompt(text="3 + 4?"), targets=("1) 3 + 4 = 7", "7"))


async def _ask(engine: Any) -> tuple[list[str], list[float]]:
    done = await asyncio.gather(*(engine.complete(*request) for request in REQUESTS))
    scores = await engine.score(SCORED)
    return [c.text for (c,) in done], [p for target in scores for p in target.logprobs]


def replies(config: EngineConfig) -> tuple[list[str], list[float]]:
    engine = open_engine(config)
    try:
        return asyncio.run(_ask(engine))
    finally:
        engine.close()


def plain_texts(folder: Path) -> list[str]:
    """What transformers alone writes to the greedy requests: float64, one by one, on the CPU."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    texts = []
    for prompt, sampling in REQUESTS[::2]:
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt.text}],
            add_generation_prompt=True, return_tensors="pt", return_dict=True,
        )  # fmt: skip
        written = model.generate(**asked, max_new_tokens=sampling.max_tokens, do_sample=False)[0]
        new = written[asked["input_ids"].shape[1] :]
        texts.append(tokenizer.decode(new, skip_special_tokens=True))
    return texts


def test_it_writes_what_plain_transformers_writes(
    device: str, tmp_path: Path, figures: dict[str, Any]
) -> None:
    model = str(save_tiny_model(tmp_path))
    cpu = replies(EngineConfig(model=model, dtype="float64", device="cpu"))
    found = replies(EngineConfig.model_validate(
        {"model": model, "dtype": "float64", "device": device}
    ))  # fmt: skip
    figures["logprob_off_the_cpus"] = max(abs(a - b) for a, b in zip(found[1], cpu[1], strict=True))
    assert found[0] == cpu[0]
    assert found[0][::2] == plain_texts(tmp_path)
    # rotary embeddings and norms are computed in float32 whatever the dtype
    assert found[1] == pytest.approx(cpu[1], rel=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "auto"])
def test_every_dtype_writes_and_scores(device: str, dtype: str, tmp_path: Path) -> None:
    model = str(save_tiny_model(tmp_path))
    config = EngineConfig.model_validate({"model": model, "dtype": dtype, "device": device})
    texts, logprobs = replies(config)
    assert len(texts) == len(REQUESTS)
    assert all(p < 0 for p in logprobs)


def test_the_small_model_is_made(device: str, smollm2: Made, figures: dict[str, Any]) -> None:
    """By this machine's transformers, from the package that travels."""
    figures["model"] = smollm2.words
    if not smollm2.is_real and "not installed" in smollm2.words:
        pytest.skip(smollm2.words)
    assert smollm2.is_real, smollm2.words
    engine: Any = open_engine(
        EngineConfig.model_validate({"model": str(smollm2.folder), "device": device})
    )
    asked = engine.complete(Prompt(text="What is the capital of France?"), Sampling(max_tokens=40))
    try:
        (done,) = asyncio.run(asked)
    finally:
        engine.close()
    figures["writes"] = done.text
    assert "Paris" in done.text
    assert done.finish_reason == "stop"


def test_speed_of_a_real_model(device: str, smollm2: Made, figures: dict[str, Any]) -> None:
    count, length = (64, 128) if device == "cuda" else (4, 16)
    config = {"model": str(smollm2.folder), "device": device, "dtype": "bfloat16"}
    if device == "cpu":
        config["dtype"] = "float32"
    engine: Any = open_engine(EngineConfig.model_validate(config))

    async def ask() -> list[Any]:
        sampling = Sampling(temperature=1.0, max_tokens=length, seed=1)
        asked = (engine.complete(Prompt(text=f"Count to {n}."), sampling) for n in range(count))
        return [done for (done,) in await asyncio.gather(*asked)]

    try:
        asyncio.run(engine.complete(Prompt(text="Hello."), Sampling(max_tokens=4)))
        began = time.perf_counter()
        done = asyncio.run(ask())
        seconds = time.perf_counter() - began
    finally:
        engine.close()
    tokens = sum(one.completion_tokens for one in done)
    figures |= {
        "model": smollm2.words, "dtype": config["dtype"], "in_flight": count,
        "written_tokens_per_s": round(tokens / seconds, 1),
    }  # fmt: skip
    assert all(one.completion_tokens for one in done)
